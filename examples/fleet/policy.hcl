# One allow list for every host of a fleet, whose interfaces differ.

host "web1" {
  external_interfaces = ["eth0"]
}

host "web2" {
  external_interfaces = ["ens3", "ens4"]
}

host "db1" {
  external_interfaces = ["bond0"]

  # This host also routes for others: filter only what goes to containers.
  container_interfaces = ["docker0", "br-+"]

  variables = {
    extra = ["192.168.102.7"]
  }
}

variable "extra" {
  type        = list(string)
  default     = []
  description = "addresses that only one host lets in"
}

ipset "offices" {
  entries = concat(["192.168.100.1", "192.168.101.0/24"], var.extra)
}

# Public on the web servers alone.
accept "web" {
  hosts           = ["web*"]
  protocol        = "tcp"
  published_ports = [80, 443]
  description     = "the public site"
}

default {
  allow = [ipset.offices]
}

# The hosts themselves are closed, except for ssh from the offices.
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.offices]
  }
}
