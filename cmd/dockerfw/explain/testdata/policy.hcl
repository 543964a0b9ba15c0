host {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
}

accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}

default {}
