host {
  external_interfaces = ["eth0"]
}

variable "friends" {
  type = list(string)
}

default {
  allow = var.friends
}
