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

test "accepted by the guard" {
  from    = "192.0.2.1"
  to_port = 443
  proxy   = true
  expect  = "accept"
}
