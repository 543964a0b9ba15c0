host {
  external_interfaces = null
}

variable "ports" {
  default = null
  validation {
    condition     = null
    error_message = null
  }
}

accept "db" {
  protocol        = "tcp"
  published_ports = [5432]
  rate {
    limit = var.ports
  }
  connections {
    max = null
  }
}

ipset "all" {
  type    = "list:set"
  members = null
}

test "db" {
  from    = null
  to_port = null
  expect  = null
}
