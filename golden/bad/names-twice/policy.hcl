host {
  external_interfaces = ["eth0"]
}

ipset "office" {
}

ipset "office" {
}

variable "a" {
  default = 1
}

variable "a" {
  default = 2
}

deny "web" {
  source = ["192.0.2.1"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}

ipset "vpn" {
}

variable "b" {
  default = 3
}
