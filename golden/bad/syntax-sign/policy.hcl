host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol "tcp"
}
}
