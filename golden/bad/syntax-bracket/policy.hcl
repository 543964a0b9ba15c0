host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries = ["203.0.113.5"
}
