# All *.hcl files of a directory are one policy. The sets are in sets.hcl, so
# that their owners and those of the rules can change them separately.

host {
  external_interfaces = ["eth0"]
}

# One rule for each service that services.hcl lists.
accept "service" {
  for_each = local.services

  protocol        = each.value.protocol
  published_ports = each.value.ports
  source          = [ipset.office, ipset.vpn]
}

default {
  allow = [ipset.vpn]
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.office, ipset.vpn]
  }
}
