host {
  external_interfaces = ["eth0"]
}

variable "clients" {
  default = []
}

accept "web" {
  protocol        = "tcp"
  published_ports = []
  source          = var.clients
}

deny "x" {
  source = null
}

default {
  allow = null
}
