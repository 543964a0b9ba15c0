host {
  external_interfaces = ["eth0"]
}

default {
  action = "drop"
  action = "reject"
}
