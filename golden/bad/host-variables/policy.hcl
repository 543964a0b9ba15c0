host {
  external_interfaces = ["eth0"]
  variables           = { cleints = ["192.0.2.10"] }
}

variable "clients" {
  default = []
}
