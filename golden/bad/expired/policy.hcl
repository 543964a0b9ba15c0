host {
  external_interfaces = ["eth0"]
}

accept "trial" {
  protocol        = "tcp"
  published_ports = [9000]
  expires         = "2026-11-22"
}

accept "sometime" {
  protocol        = "tcp"
  published_ports = [9001]
  expires         = "next week"
}
