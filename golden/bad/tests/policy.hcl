host {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
}

accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}

test "" {
  from    = "192.0.2.1"
  to_port = 443
  expect  = "accept"
}

test "no port" {
  from   = "192.0.2.1"
  expect = "accept"
}

test "a network" {
  from    = "192.0.2.0/24"
  to_port = 443
  expect  = "accept"
}

test "two families" {
  from       = "192.0.2.1"
  to_address = "2001:db8::1"
  to_port    = 443
  expect     = "accept"
}

test "not compiled" {
  from    = "2001:db8::1"
  to_port = 443
  expect  = "drop"
}

test "ports of icmp" {
  from     = "192.0.2.1"
  protocol = "icmp"
  to_port  = 443
  expect   = "drop"
}

test "several ports" {
  from      = "192.0.2.1"
  to_port   = "80-90"
  interface = "eth+"
  state     = "old"
  expect    = "allow"
  by        = "accept.http"
  host      = "web1"
}

test "a container behind docker-proxy" {
  from           = "192.0.2.1"
  to_port        = 443
  container_port = 8443
  proxy          = true
  expect         = "drop"
}

test "accepted in INPUT" {
  from    = "192.0.2.1"
  to_port = 443
  proxy   = true
  expect  = "accept"
}

test "arrives on a container's interface, to a container without its bridge" {
  from           = "172.18.0.2"
  interface      = "br-web"
  container      = "172.17.0.2"
  container_port = 80
  expect         = "allowed"
}

test "leaves for nowhere" {
  from      = "172.17.0.2"
  interface = "docker0"
  to_port   = 443
  expect    = "allowed"
}

test "leaves from nowhere" {
  from          = "172.17.0.2"
  out_interface = "eth0"
  to_address    = "203.0.113.80"
  to_port       = 443
  expect        = "allowed"
}

test "two ports outside, and a container" {
  from           = "172.17.0.2"
  interface      = "docker0"
  out_interface  = "eth0"
  to_address     = "203.0.113.80"
  to_port        = 443
  container      = "172.18.0.2"
  container_port = 8443
  expect         = "allowed"
}

test "a reply to a published port" {
  from    = "192.0.2.1"
  to_port = 443
  state   = "reply"
  expect  = "allowed"
}

test "an invalid packet to a published port" {
  from    = "192.0.2.1"
  to_port = 443
  state   = "invalid"
  expect  = "refused"
}

test "two containers" {
  from           = "192.0.2.1"
  container      = "172.17.0.2"
  to_address     = "172.18.0.2"
  container_port = 443
  expect         = "refused"
}

test "leaves the host behind docker-proxy" {
  from          = "192.0.2.1"
  to_port       = 443
  proxy         = true
  container     = "172.17.0.2"
  out_interface = "docker+"
  expect        = "refused"
}

test "another ICMP, behind docker-proxy" {
  from     = "192.0.2.1"
  protocol = "icmpv6"
  proxy    = true
  expect   = "refused"
}

test "refused by an accept" {
  from    = "192.0.2.1"
  to_port = 443
  expect  = "refused"
  by      = "accept.https"
}

test "allowed by default" {
  from    = "192.0.2.1"
  to_port = 80
  expect  = "allowed"
  by      = "default"
}

test "rejected by established" {
  from    = "192.0.2.1"
  to_port = 443
  expect  = "reject"
  by      = "established"
}
