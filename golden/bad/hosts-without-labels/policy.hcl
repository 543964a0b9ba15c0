host {
  external_interfaces = ["eth0"]
}

accept "web" {
  hosts           = ["web*"]
  protocol        = "tcp"
  published_ports = [443]
}
