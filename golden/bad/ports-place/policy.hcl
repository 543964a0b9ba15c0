# The port of the host is an attribute of rules in input only, and tests about the host
# contradict themselves.
host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol = "tcp"
  ports    = [443]
}

egress {
  deny "mail" {
    protocol = "tcp"
    ports    = [25]
  }
}

input {
  deny "six" {
    source      = ["192.0.2.1"]
    destination = ["2001:db8::1"]
  }
}

test "no container" {
  from      = "192.0.2.1"
  to_port   = 22
  to_host   = true
  container = "172.17.0.2"
  expect    = "allowed"
}

test "no port" {
  from    = "192.0.2.1"
  to_host = true
  expect  = "allowed"
}

test "accept" {
  from    = "192.0.2.1"
  to_port = 22
  to_host = true
  expect  = "accept"
}
