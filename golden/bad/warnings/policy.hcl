host {
  external_interfaces = ["eth0"]
}

ipset "unused" {
  entries = ["192.0.2.1"]
}

ipset "empty" {
}

accept "all" {
  source = [ipset.empty]
}

accept "soon" {
  protocol        = "tcp"
  published_ports = [9000]
  expires         = "2026-12-01"
}

accept "open" {
  protocol        = "tcp"
  published_ports = [443]
  source_not      = ["192.0.2.66"]
}

accept "elsewhere" {
  protocol        = "tcp"
  published_ports = [444]
  interfaces      = ["wg0"]
}

ipset "ipv4_only" {
  entries = ["192.0.2.66"]
}

accept "open_but_for_a_set" {
  protocol        = "tcp"
  published_ports = [445]
  source_not      = [ipset.ipv4_only]
}

accept "off" {
  enabled         = false
  protocol        = "tcp"
  published_ports = [446]
  source          = [ipset.only_disabled]
  expires         = "2026-11-01"
}

ipset "only_disabled" {
  entries = ["192.0.2.67"]
}

accept "excluded_again" {
  protocol        = "tcp"
  published_ports = [448]
  source          = ["192.0.2.69"]
  source_not      = ["192.0.2.0/24"]
}

accept "ended" {
  protocol        = "tcp"
  published_ports = [447]
  source          = ["192.0.2.68"]
  expires         = "2026-11-01"
}
