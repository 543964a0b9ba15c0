# A database for six application servers and nobody else. An address that is taken
# out of the set loses its open connections at once.

host {
  external_interfaces = ["eth0"]
}

established {
  sessions = "recheck"
}

ipset "app-servers" {
  type = "hash:ip"
  entries = [
    "192.0.2.11", "192.0.2.12", "192.0.2.13",
    "198.51.100.21", "198.51.100.22", "2001:db8::21",
  ]
}

accept "postgres" {
  protocol        = "tcp"
  published_ports = [5432]
  source          = [ipset.app-servers]
}

# The host itself: ssh for everyone, and nothing else.
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}
