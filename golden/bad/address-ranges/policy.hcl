host {
  external_interfaces = ["eth0"]
}

default {
  allow = ["192.0.2.9-192.0.2.1", "192.0.2.1-2001:db8::1", "192.0.2.1-"]
}
