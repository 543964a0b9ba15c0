host {
  external_interfaces = ["eth0"]
}

default {
}

default {
  action = "reject"
}

established {
}

established {
}
