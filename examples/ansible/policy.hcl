# Three hosts that Ansible deploys to; the labels are their names in the inventory.

host "web1" {
  external_interfaces = ["eth0"]
}

host "web2" {
  external_interfaces = ["eth0"]
}

host "db1" {
  external_interfaces = ["eth0"]
}

ipset "offices" {
  entries = ["192.0.2.0/24", "2001:db8:1::/48"]
}

ipset "web_servers" {
  entries = ["198.51.100.11", "198.51.100.12"]
}

accept "web" {
  hosts           = ["web*"]
  protocol        = "tcp"
  published_ports = [80, 443]
  description     = "the public site"
}

accept "database" {
  hosts           = ["db1"]
  protocol        = "tcp"
  published_ports = [5432]
  source          = [ipset.web_servers]
  description     = "for the public site"
}

default {
  allow = [ipset.offices]
}

# Ansible connects from the offices, too.
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.offices]
  }
}
