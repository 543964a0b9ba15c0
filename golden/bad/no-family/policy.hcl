host {
  external_interfaces = ["eth0"]
}

deny "mixed" {
  source      = ["192.0.2.1"]
  destination = ["2001:db8::1"]
}

deny "icmpv6" {
  protocol = "icmpv6"
  source   = ["192.0.2.1"]
}

deny "nothing" {
  source_not = ["0.0.0.0/0", "::/0"]
}
