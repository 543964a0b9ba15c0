host {
  external_interfaces = ["eth0"]
}

variable "ports" {
  type    = list(number)
  default = ["https"]
}

variable "list" {
  type = lst(string)
}
