host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [80, "8000-8010", 8005, 80]
}
