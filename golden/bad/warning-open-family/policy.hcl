host {
  external_interfaces = ["eth0"]
}

default {
  allow = ["0.0.0.0/0"]
}
