host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol: "tcp"
  published_ports: [443],
  log: {
  }
}
