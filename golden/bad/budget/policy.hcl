# Expressions with a result of a thousand million elements.
host {
  external_interfaces = ["eth0"]
}

locals {
  many = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : c]]]
}
