host {
  external_interfaces = ["eth0"]
}

acept "web" {
  protocol = "tcp"
}

allow "web" {
  protocol = "tcp"
}
