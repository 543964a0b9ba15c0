# A disabled rule is checked like the others.
host {
  external_interfaces = ["eth0"]
}

accept "http" {
  enabled         = false
  protocol        = "tcp"
  published_ports = [99999]
}

accept "twice" {
  enabled         = false
  protocol        = "tcp"
  published_ports = [80]
}

accept "twice" {
  protocol        = "tcp"
  published_ports = [81]
}

deny "never" {
  enabled     = false
  source      = ["192.0.2.1"]
  destination = ["2001:db8::1"]
}

accept "what" {
  enabled = "no"
}
