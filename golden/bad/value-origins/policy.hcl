# A bad value is shown where it was written, with the rule that uses it.
host "web1" {
  external_interfaces = var.external
  variables = {
    external = ["eth0", "eth0"]
    sites = {
      shop = { ports = [80, 80], from = ["203.0.113.7"] }
      blog = { ports = [443], from = ["203.0.113.1/24"] }
    }
  }
}

variable "external" {
  type = list(string)
}

variable "sites" {
}

variable "prefix" {
  default = "192.0.2.1"
}

locals {
  office = concat(["198.51.100.1/24"], ["192.0.2.9"])
}

accept "site" {
  for_each        = var.sites
  source          = each.value.from
  protocol        = "tcp"
  published_ports = each.value.ports
}

accept "office" {
  source          = local.office
  protocol        = "tcp"
  published_ports = [22]
}

# Computed: the place that computes it, with the value and its variables.
accept "computed" {
  source          = ["${var.prefix}/24"]
  protocol        = "tcp"
  published_ports = [25]
}

# An error of the rule, not of the value, is reported at the rule.
accept "no_protocol" {
  published_ports = var.sites.blog.ports
}
