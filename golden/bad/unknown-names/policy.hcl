host {
  external_interfaces = ["eth0"]
}

ipset "ipfriends" {
  entries = ["192.0.2.10"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [local.prot]
  source          = [ipset.ipfriend]
}

default {
  allow = [ipset.ipfriends, var.clients, clients]
}

locals {
  port = 443
}
