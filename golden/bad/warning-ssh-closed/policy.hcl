# A closed host to which nobody can open an ssh session.
host {
  external_interfaces = ["eth0"]
}

input {
  accept "metrics" {
    protocol = "tcp"
    ports    = [9100]
    source   = ["192.0.2.7"]
  }

  accept "dns" {
    protocol = "udp"
  }
}
