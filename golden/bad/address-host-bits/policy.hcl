host {
  external_interfaces = ["eth0"]
}

default {
  allow = ["192.0.2.10/24", "2001:db8::1/32"]
}
