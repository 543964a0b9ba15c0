accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}
