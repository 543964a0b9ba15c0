host {
  external_interfaces = ["eth0"]
  families            = ["ipv5", "ipv4"]
  install             = "replaced"
  verdict             = "drop"
  chain               = "FORWARD"
}
