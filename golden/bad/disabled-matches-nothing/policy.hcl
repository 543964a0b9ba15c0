# A disabled rule that would match nothing.
host {
  external_interfaces = ["eth0"]
}

deny "never" {
  enabled     = false
  source      = ["192.0.2.1"]
  destination = ["2001:db8::1"]
}
