variable "maintenance" {
  type    = bool
  default = false
}

host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries   = ["203.0.113.0/24"]
  aggregate = yes
}

ipset "vpn" {
  entries = ["office"]
}

accept "web" {
  protocol        = ["tcp", "http"]
  published_ports = ["80,90", "https", "80-90-100"]
  source          = ["office", "ofice", "ipset.vpn", 443]
}

accept "ssh" {
  protocol        = tcp
  published_ports = 22
  source          = ipset.office
  log             = true
}

resource "accept" "dns" {
}
