host {
  external_interfaces = ["eth0"]
  chain               = "DOCKER"
  install             = "replace"
}

egress {
  deny "lan" {
    destination = ["192.168.0.0/16"]
  }
}
