# Every attribute of the language once, to look things up and to try things out.
# No real host has a policy like this.

host "edge" {
  external_interfaces  = ["eth0", "wg+"]
  container_interfaces = ["docker0", "br-+"]
  internal_interfaces  = ["lan0"]
  families             = ["ipv4", "ipv6"]
  target               = "iptables"
  chain                = "DOCKER-USER"
  install              = "jump"
  verdict              = "return"
  input_guard          = true
  proxy_ports          = [8443, "9000-9010", "5353/udp"]
  variables            = { admins = ["192.0.2.1", "2001:db8::1"] }
}

host "inner" {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
  install             = "insert"
  variables           = { admins = ["10.0.0.1"] }
}

variable "admins" {
  type        = list(string)
  description = "addresses of the administrators"

  validation {
    condition     = length(var.admins) > 0
    error_message = "List at least one address."
  }
}

locals {
  web = { http = 80, https = "443" }
}

ipset "admins" {
  type     = "hash:ip"
  entries  = var.admins
  hashsize = 128
  maxelem  = 256
  counters = true
}

ipset "partners" {
  type          = "hash:net"
  entries       = ["198.51.100.0/25", "198.51.100.128/25", "203.0.113.10-203.0.113.20", "2001:db8:1::/48"]
  files         = ["lists/partners.txt"]
  exclude       = ["198.51.100.66"]
  exclude_files = ["lists/former.txt"]
  min_entries   = 3
  aggregate     = false
  comment       = true
}

ipset "banned" {
  managed = false
  timeout = 600
}

ipset "crowdsec-blacklists" {
  managed   = false
  ipv6_name = "crowdsec6-blacklists"
}

ipset "known" {
  type    = "list:set"
  members = [ipset.admins, ipset.partners]
}

established {
  sessions     = "recheck"
  drop_invalid = true
}

deny "banned" {
  source      = [ipset.banned, "192.0.2.66"]
  action      = "reject"
  description = "fail2ban fills the set"

  log {
    prefix = "dockerfw banned: "
    level  = "info"
    limit  = "6/minute"
  }
}

deny "crowdsec" {
  source  = [ipset.crowdsec-blacklists]
  enabled = true
}

deny "flood" {
  protocol        = "udp"
  published_ports = [53]

  rate {
    limit = "100/second"
    burst = 200
    per   = "rule"
  }
}

accept "web" {
  for_each = local.web

  protocol          = "tcp"
  published_ports   = [each.value]
  published_address = ["198.51.100.1", "2001:db8::80"]
  hosts             = ["e*"]

  rate {
    limit = "20/second"
    burst = 40
    per   = "source"
  }

  connections {
    max           = 50
    per_prefix_v4 = 24
    per_prefix_v6 = 56
  }

  log {
    nflog_group = 7
  }
}

accept "database" {
  protocol        = ["tcp"]
  container_ports = [5432]
  source_ports    = ["1024-65535"]
  source          = [ipset.partners]
  source_not      = ["198.51.100.7", "2001:db8:1:7::/64"]
  destination     = ["172.18.0.0/16", "fd00:18::/64"]
  destination_not = ["172.18.0.99", "fd00:18::99"]
  expires         = "2037-12-31"
}

accept "ping" {
  icmp_types     = ["echo-request"]
  hosts          = ["edge"]
  interfaces     = ["wg+"]
  out_interfaces = ["br-dmz"]
}

default {
  allow  = [ipset.known]
  action = "reject"

  log {
    prefix = "dockerfw default: "
  }
}

egress {
  deny "mail" {
    protocol        = "tcp"
    container_ports = [25]
  }

  accept "updates" {
    destination = ["192.0.2.80", "2001:db8::80"]
  }

  default {
    allow  = ["0.0.0.0/1", "128.0.0.0/2", "2000::/3"]
    action = "drop"
  }
}

input {
  deny "scanners" {
    source = ["192.0.2.128/25"]
    action = "reject"
  }

  accept "ssh" {
    protocol = "tcp"
    ports    = [22, "2200-2202"]
    source   = [ipset.admins]

    rate {
      limit = "6/minute"
    }
  }

  default {
    allow  = [ipset.partners]
    action = "drop"

    log {
      prefix = "dockerfw host: "
    }
  }
}

test "other clients do not reach the web at another address" {
  host       = "edge"
  from       = "192.0.2.200"
  protocol   = "tcp"
  to_address = "198.51.100.9"
  to_port    = 443
  expect     = "reject"
  by         = "default"
}

test "partners reach the database" {
  from           = "198.51.100.20"
  container_port = 5432
  to_address     = "172.18.0.5"
  interface      = "eth0"
  state          = "new"
  expect         = "docker"
  by             = "accept.database"
  host           = "edge"
}

test "docker-proxy is closed to other clients" {
  host    = "edge"
  from    = "203.0.113.99"
  to_port = 8443
  proxy   = true
  expect  = "reject"
}

test "administrators reach sshd" {
  host    = "edge"
  from    = "192.0.2.1"
  to_port = 22
  to_host = true
  expect  = "allowed"
  by      = "accept.ssh"
}

test "nobody else reaches the database through a published port" {
  host     = "edge"
  from     = "anyone"
  from_not = [ipset.known, ipset.partners]
  to_port  = 5432
  proxy    = false
  expect   = "refused"
}

test "networks of containers reach each other" {
  host           = "edge"
  from           = "172.17.0.2"
  interface      = "docker0"
  container      = "172.18.0.5"
  container_port = 5432
  out_interface  = "br-web"
  expect         = "allowed"
}
