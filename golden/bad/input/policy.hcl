# Attributes and values that have no meaning in an input block, and an input block without
# INPUT protection.
host {
  external_interfaces = ["eth0"]
  input_guard         = false
}

accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}

input {
  accept "web" {
    protocol = "tcp"
    ports    = [443]
  }

  accept "published" {
    protocol          = "tcp"
    published_ports   = [80]
    published_address = ["198.51.100.1"]
  }

  deny "container" {
    protocol        = "tcp"
    container_ports = [80]
    out_interfaces  = ["docker0"]
  }

  accept "no protocol" {
    ports = [22]
  }

  accept "ssh" {
    ports = [22]
  }

  deny "ping" {
    protocol = "icmp"
    ports    = [22]
  }

  default {
    allow  = ["192.0.2.1"]
    action = "return"
  }

  egress {
  }
}

input {
}

test "two paths" {
  from    = "192.0.2.1"
  to_port = 443
  proxy   = true
  to_host = true
  expect  = "allowed"
}
