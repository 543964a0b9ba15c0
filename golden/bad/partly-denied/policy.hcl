host {
  external_interfaces = ["eth0"]
}

deny "country" {
  source = ["203.0.113.0/24", "2001:db8:2::/48"]
}

accept "office" {
  source          = ["203.0.113.16/28", "2001:db8:2:9::/64", "198.51.100.7"]
  protocol        = "tcp"
  published_ports = [8443]
}

deny "leaver" {
  source = ["198.51.100.66"]
}

accept "partner" {
  source          = ["198.51.100.64/26"]
  protocol        = "tcp"
  published_ports = [5432]
}
