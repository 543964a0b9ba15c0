host {
  external_interfaces = ["eth0"]
}

egress {
  deny "web" {
    protocol        = "tcp"
    published_ports = [443]
  }
}
