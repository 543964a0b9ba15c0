host {
  external_interfaces = ["eth0"]
}

deny "a" {
  protocol = "tpc"
}

deny "b" {
  protocol = ["tcp", "tcp", 256, 0, "all", "ipv6-icmp", "06"]
}
