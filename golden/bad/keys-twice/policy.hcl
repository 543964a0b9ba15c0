host "web1" {
  external_interfaces = ["eth0"]
  variables           = { clients = ["192.0.2.10"], clients = ["192.0.2.20"] }
}

variable "clients" {
  default = []
}

locals {
  name = "web"
  ports = {
    web          = 443
    "web"        = 8443
    (local.name) = 9443
  }
  # Keys of different elements may be equal; one element has a key twice.
  pairs = { for port in [80, 81] : port => { "port-${port}" = port } }
  twice = { for port in [80, 81] : port => { port = port, port = 82 } }
}

accept "web" {
  published_ports = values(local.ports)
  protocol        = "tcp"
}
