host {
  external_interfaces = ["eth0"]
  chain               = "DOCKER"
}
