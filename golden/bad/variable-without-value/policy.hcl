host {
  external_interfaces = ["eth0"]
}

variable "clients" {
  type = list(string)
}

default {
  allow = var.clients
}
