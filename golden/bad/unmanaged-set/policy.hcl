host {
  external_interfaces = ["eth0"]
}

ipset "banned" {
  managed = false
  entries = ["192.0.2.66"]
}
