host {
  external_interfaces = ["eth0"]
}

variable "site" {
  default = "office"
}

locals {
  clients = local[var.site]
  all     = values(local)
  office  = ["192.0.2.1"]
}

accept "db" {
  protocol        = "tcp"
  published_ports = [5432]
  source          = local.clients
}
