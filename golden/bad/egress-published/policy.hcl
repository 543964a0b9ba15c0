host {
  external_interfaces = ["eth0"]
}

egress {
  deny "web" {
    protocol        = "tcp"
    published_ports = [443]
  }

  deny "without_protocol" {
    published_ports = [443]
  }
}
