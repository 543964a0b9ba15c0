# Containers may reach the Internet, and nothing private outside the host but the
# resolver.

host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}

# What leaves containers through an external interface. Replies pass; what is not
# denied here stays open.
egress {
  deny "private" {
    destination     = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
    destination_not = ["192.168.1.53"]
  }

  deny "mail" {
    protocol        = "tcp"
    container_ports = [25]
    action          = "reject"

    log {
      nflog_group = 10
      limit       = "1/second"
    }
  }
}

# The host itself: ssh for everyone, and nothing else.
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}

test "containers reach the Internet" {
  from       = "172.17.0.2"
  interface  = "docker0"
  to_address = "203.0.113.80"
  to_port    = 443
  expect     = "allowed"
}

test "containers do not reach the office" {
  from       = "172.17.0.2"
  interface  = "docker0"
  to_address = "10.1.2.3"
  to_port    = 443
  expect     = "refused"
  by         = "deny.private"
}

test "containers reach the resolver" {
  from       = "172.17.0.2"
  interface  = "docker0"
  to_address = "192.168.1.53"
  protocol   = "udp"
  to_port    = 53
  expect     = "allowed"
}

test "containers send no mail" {
  from       = "172.17.0.2"
  interface  = "docker0"
  to_address = "203.0.113.25"
  to_port    = 25
  expect     = "reject"
  by         = "deny.mail"
}
