host {
  external_interfaces = ["eth0"]
}

variable "friends" {
  default = []
}

accept "web" {
  protocol        = "tcp"
  published_ports = []
  source          = var.friends
}

deny "x" {
  source = null
}

default {
  allow = null
}
