# The usual fix for published ports, written by hand in many tutorials: let replies
# through, accept what is public, drop every source that is not in an ipset. The input
# block does the same for the host itself.

host {
  external_interfaces = ["eth0"]
}

ipset "ipfriends" {
  type     = "hash:ip"
  hashsize = 1024
  maxelem  = 65536
  entries  = ["192.0.2.10", "198.51.100.7"]
}

accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}

accept "http" {
  protocol        = "tcp"
  published_ports = [80]
}

accept "dns" {
  protocol        = "udp"
  published_ports = [53]
}

default {
  allow = [ipset.ipfriends]
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.ipfriends]
  }
}
