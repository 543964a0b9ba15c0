host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  files = ["${host.name}.txt"]
}
