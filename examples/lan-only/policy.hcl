# One port for one network, on one interface, and ssh. Packets that belong to no
# connection are dropped, and so is the rest.

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

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = ["192.168.1.0/24"]
  }
}
