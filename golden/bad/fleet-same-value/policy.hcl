# Hosts that write the same bad value for the same use share one error. Another bad
# value, and a second one on the same host, are separate errors.
host "web1" {
  external_interfaces = ["eth0"]
  variables           = { office = ["192.0.2.1/24"] }
}

host "web2" {
  external_interfaces = ["eth0"]
  variables           = { office = ["192.0.2.1/24", "198.51.100.1/24"] }
}

host "web3" {
  external_interfaces = ["eth0"]
  variables           = { office = ["192.0.2.1/24", "192.0.2.1/24"] }
}

host "web4" {
  external_interfaces = ["eth0"]
  variables           = { office = ["192.0.2.1/24"] }
}

host "web5" {
  external_interfaces = ["eth0"]
  variables           = { office = ["192.0.2.0/24"] }
}

variable "office" {
  type = list(string)
}

accept "web" {
  source          = var.office
  protocol        = "tcp"
  published_ports = [443]
}
