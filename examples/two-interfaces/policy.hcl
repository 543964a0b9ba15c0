# Two external interfaces with services of their own, both families.

host {
  external_interfaces = ["wan0", "wan1"]
}

locals {
  admins = ["192.0.2.1", "2001:db8::1"]
}

accept "app" {
  interfaces      = ["wan0"]
  protocol        = "tcp"
  published_ports = [8080]
}

accept "app-udp" {
  interfaces      = ["wan0"]
  protocol        = "udp"
  published_ports = [5353]
}

accept "https" {
  interfaces      = ["wan1"]
  protocol        = "tcp"
  published_ports = [443]
}

accept "ssh" {
  protocol        = "tcp"
  published_ports = [22]
  source          = local.admins
}

# A container has port 22: the sshd of the host listens on 2222.
input {
  accept "host-ssh" {
    protocol = "tcp"
    ports    = [2222]
    source   = local.admins
  }
}
