host {
  external_interfaces = ["eth0"]
}

default {
  allow  = ["192.0.2.1"]
  action = "return"
}

established {
  sessions     = "recheck-all"
  drop_invalid = "yes"
}
