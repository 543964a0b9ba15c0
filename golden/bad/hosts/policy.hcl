host "web1" {
  external_interfaces = ["eth0"]
}

accept "web" {
  hosts           = ["wbe1", "[", "[]", "web\\", "db*"]
  protocol        = "tcp"
  published_ports = [443]
}
