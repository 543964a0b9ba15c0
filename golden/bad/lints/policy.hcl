variable "ports" {
  default = [80]
}

locals {
  trusted = ["192.0.2.10", "2001:db8::10"]
}

host {
  external_interfaces = ["eth0"]
}

ipset "clients" {
  entries = ["198.51.100.0/24", "2001:db8:1::/48"]
}

ipset "office" {
  entries = ["198.51.100.16/28"]
}

deny "scanner" {
  source = ["203.0.113.0/24"]
}

accept "scanner_host" {
  source          = ["203.0.113.9"]
  protocol        = "tcp"
  published_ports = [22]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [80, "8000-8100"]
}

accept "web_again" {
  protocol        = "tcp"
  published_ports = ["8010-8020"]
}

accept "one_port_covered" {
  protocol        = "tcp"
  published_ports = [80, 443]
}

deny "one_of_the_scanner" {
  source = ["203.0.113.66"]
}

accept "clients_again" {
  source          = [ipset.clients]
  protocol        = "udp"
  published_ports = [53]
}

accept "office" {
  source          = [ipset.office]
  protocol        = "tcp"
  published_ports = [5432]
}

accept "before_ntp" {
  source          = ["192.0.2.123"]
  protocol        = "udp"
  published_ports = [123]
}

# dockerfw:ignore redundant there is nothing redundant in this one
accept "ntp" {
  protocol        = "udp"
  published_ports = [123]
}

# dockerfw:ignore world-open
accept "quic" {
  protocol        = "udp"
  published_ports = [443]
}

default {
  allow = [ipset.clients, ipset.office]
}
