host {
  external_interfaces = ["eth0"]
}

locals {
  a = local.b
  b = [local.c]
  c = "${local.a}"
}
