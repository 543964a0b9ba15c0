host {
  external_interfaces = ["eth0"]
}

acept "web" {
  protocol = "tcp"
}
