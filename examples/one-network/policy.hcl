# Only one network, and three addresses of another, may reach what is published.

host {
  external_interfaces = ["ext_if"]
}

default {
  allow = ["192.0.2.0/24", "198.51.100.1-198.51.100.3"]
}
