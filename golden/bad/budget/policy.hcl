# An expression whose result has more than a million elements.
host {
  external_interfaces = ["eth0"]
}

locals {
  row  = range(1001)
  many = [for a in local.row : local.row]
}
