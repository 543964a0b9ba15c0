host {
  external_interfaces = ["eth0"]
}

host {
  external_interfaces = ["eth1"]
}
