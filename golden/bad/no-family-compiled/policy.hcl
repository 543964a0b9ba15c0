host {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
}

deny "icmpv6" {
  protocol = "icmpv6"
}
