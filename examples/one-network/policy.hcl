# Only one network, and three addresses of another, may reach what is published, and ssh.
# No rule lists a port, so proxy_ports lists those that they reach through docker-proxy, too.

host {
  external_interfaces = ["ext_if"]
  proxy_ports         = [80, 443, "8000-8099"]
}

locals {
  network = ["192.0.2.0/24", "198.51.100.1-198.51.100.3"]
}

default {
  allow = local.network
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = local.network
  }
}

test "other clients do not get in through docker-proxy" {
  from    = "2001:db8::99"
  to_port = 8042
  proxy   = true
  expect  = "drop"
}
