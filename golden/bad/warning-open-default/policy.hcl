host {
  external_interfaces = ["eth0"]
}

default {
  action = "return"
}
