host "../web1" {
  external_interfaces = ["eth0"]
}
