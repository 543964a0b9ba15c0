# A Swarm host: 80 and 443 are public, nothing else is. Swarm's routing mesh takes
# connections on every node; DOCKER-USER comes before its chain.

host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
}

# Everyone else is dropped; this needs no default block.

ipset "nodes" {
  entries = ["192.0.2.21", "192.0.2.22", "192.0.2.23"]
}

# The nodes of the Swarm reach its managers, each other and the overlay networks.
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }

  accept "swarm" {
    protocol = ["tcp", "udp"]
    ports    = [2377, 4789, 7946]
    source   = [ipset.nodes]
  }
}

test "nodes reach the managers" {
  from    = "192.0.2.22"
  to_port = 2377
  to_host = true
  expect  = "allowed"
}

test "nobody else sends packets into overlay networks" {
  from     = "anyone"
  from_not = [ipset.nodes]
  protocol = "udp"
  to_port  = 4789
  to_host  = true
  expect   = "refused"
}
