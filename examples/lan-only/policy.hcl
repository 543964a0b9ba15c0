# One port for one network, on one interface. Packets that belong to no connection
# are dropped, and so is the rest.

host {
  external_interfaces = ["eth0"]
}

established {
  drop_invalid = true
}

accept "service" {
  protocol        = "tcp"
  published_ports = [1234]
  source          = ["192.168.1.0/24"]
}
