host {
  external_interfaces = ["eth0"]
}

accept "web" {
  published_ports = [443]
}

accept "ping" {
  protocol        = ["icmp", "tcp"]
  published_ports = [443]
}
