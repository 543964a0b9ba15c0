host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries = [cidrsubnet("192.0.2.0/24", 1, 9)]
}
