host {
  external_interfaces = ["eth0"]
}

deny "a" {
  icmp_types = ["echo-reqest", 8, "packet-too-big"]
}

deny "b" {
  protocol   = "tcp"
  icmp_types = ["echo-request"]
}

deny "c" {
  protocol   = "icmp"
  icmp_types = ["packet-too-big", 300, "3/4", 3]
}
