# A Swarm host: 80 and 443 are public, nothing else is. Swarm's routing mesh takes
# connections on every node; DOCKER-USER stands before its chain.

host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
}

# Nobody is allowed beyond that: no default block is needed to say so.
