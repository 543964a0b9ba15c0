# The tutorial for engines before 17.06, which have no DOCKER-USER: the rules are
# inserted at the head of DOCKER, ahead of Docker's own. Do not use it with newer ones.
# It is about these rules alone: the host itself stays open (see the input block in tutorial).

host {
  external_interfaces = ["eth0"]
  chain               = "DOCKER"
  install             = "insert"
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
