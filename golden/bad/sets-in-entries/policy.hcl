host {
  external_interfaces = ["eth0"]
}

ipset "a" {
  entries = ["192.0.2.1"]
}

ipset "b" {
  entries = [ipset.a]
}
