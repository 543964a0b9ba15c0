host {
  external_interfaces = ["eth0"]
}

deny "a" {
  source = ["192.0.2.1"]
  action = "accept"
}

accept "b" {
  protocol        = "tcp"
  published_ports = [443]
  action          = "drop"
}
