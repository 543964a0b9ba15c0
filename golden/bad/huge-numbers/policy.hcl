host {
  external_interfaces = ["eth0"]
}

accept "db" {
  protocol        = 1e99999999
  published_ports = [1e99999999]
  connections {
    max = 1e99999
  }
  description = indent(-1, "a")
}
