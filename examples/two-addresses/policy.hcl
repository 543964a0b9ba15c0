# The host has two public addresses: 80 is open on one of them only.

host {
  external_interfaces = ["eth0"]
}

accept "http" {
  protocol          = "tcp"
  published_ports   = [80]
  published_address = ["198.51.100.2"]
}
