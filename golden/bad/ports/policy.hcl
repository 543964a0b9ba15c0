host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [0, 65536, "443-80", "80:90", "90:80", "127.0.0.1:80:90", "80:", "53/udp", "https", 1.5, "080", -1]
}
