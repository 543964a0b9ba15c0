# The host has two public addresses: 80 is open on one of them only, and ssh on the other.

host {
  external_interfaces = ["eth0"]
}

accept "http" {
  protocol          = "tcp"
  published_ports   = [80]
  published_address = ["198.51.100.2"]
}

input {
  accept "ssh" {
    protocol    = "tcp"
    ports       = [22]
    destination = ["198.51.100.1"]
  }
}

test "ssh is open on the first address" {
  from       = "192.0.2.99"
  to_address = "198.51.100.1"
  to_port    = 22
  to_host    = true
  expect     = "allowed"
}

test "ssh is closed on the second address" {
  from       = "192.0.2.99"
  to_address = "198.51.100.2"
  to_port    = 22
  to_host    = true
  expect     = "refused"
}
