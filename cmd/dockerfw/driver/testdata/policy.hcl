host {
  external_interfaces = ["eth0"]
}

accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}

default {
  allow = ["192.0.2.0/24"]
}
