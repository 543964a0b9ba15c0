host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol          = "tcp"
  published_ports   = [443]
  published_address = ["198.51.100.0/24", "198.51.100.1", "198.51.100.1"]
}

accept "ping" {
  protocol          = ["tcp", "icmp"]
  published_address = ["198.51.100.1"]
}

accept "any_ping" {
  icmp_types        = ["echo-request"]
  published_address = ["198.51.100.1"]
}
