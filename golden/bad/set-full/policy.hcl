host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  maxelem = 2
  entries = ["192.0.2.1", "192.0.2.3", "192.0.2.5"]
}

ipset "lab" {
  type    = "hash:ip"
  maxelem = 10
  entries = ["192.0.2.0/24"]
}
