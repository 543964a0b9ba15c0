host "web1" {
  external_interfaces = ["eth0"]
  variables           = { ports = [443] }
}

host "web2" {
  external_interfaces = ["eth0"]
  variables           = { ports = [70000] }
}

variable "ports" {
  type = list(number)
}

accept "web" {
  protocol        = "tcp"
  published_ports = var.ports
}
