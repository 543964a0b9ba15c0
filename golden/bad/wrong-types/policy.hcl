host {
  external_interfaces = "eth0"
}

ipset "office" {
  entries  = "192.0.2.10"
  counters = "si"
  maxelem  = "many"
}

accept "web" {
  protocol        = true
  published_ports = 443
  source          = ipset.office
}
