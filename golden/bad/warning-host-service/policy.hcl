host {
  external_interfaces = ["eth0"]
  proxy_ports         = ["500-600/udp", 22]
}

deny "low" {
  protocol        = "tcp"
  published_ports = ["1-1023"]
  source          = ["203.0.113.0/24"]
}

accept "clients" {
  protocol        = ["tcp", "udp"]
  published_ports = ["1024-65535"]
  source          = ["192.0.2.0/24"]
}

accept "git" {
  protocol        = "tcp"
  published_ports = [22]
}
