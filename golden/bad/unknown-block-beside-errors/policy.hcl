host {
  external_interfaces = ["eth0"]
}

firewall {
}

accept "db" {
  protocol        = "tpc"
  published_ports = [5432]
}
