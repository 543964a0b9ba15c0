# A database for each of 80 tenants, on a port of its own. Each is for the network of its tenant and
# for the server that makes the tenant's backups, so that there are 160 rules. A packet meets 15
# at most: docs/language.md, "Folding".

host {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
}

locals {
  tenants = { for n in range(1, 81) : format("tenant-%02d", n) => n }
}

accept "network" {
  for_each        = local.tenants
  protocol        = "tcp"
  published_ports = [15000 + each.value]
  source          = ["10.1.${each.value}.0/24"]
}

accept "backup" {
  for_each        = local.tenants
  protocol        = "tcp"
  published_ports = [15000 + each.value]
  source          = ["10.2.0.${each.value}"]
}

# The operators reach all of them.
accept "operators" {
  protocol        = "tcp"
  published_ports = ["15001-15080"]
  source          = ["192.0.2.0/28"]
}

# ssh for the operators; the host is closed otherwise.
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = ["192.0.2.0/28"]
  }
}
