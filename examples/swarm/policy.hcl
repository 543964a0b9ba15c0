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
