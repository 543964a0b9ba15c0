# Attributes that have no counterpart in nftables, and names that nft does not take.

host {
  external_interfaces = ["eth0"]
  target              = "nftables"
  chain               = "DOCKER"
  install             = "jump"
  verdict             = "return"
}

ipset "office" {
  entries  = ["192.0.2.0/24"]
  hashsize = 4096
  timeout  = 600
  counters = true
  comment  = true
}

ipset "limit" {
  managed   = false
  ipv6_name = "log"
}

ipset "banned" {
  type    = "list:set"
  managed = false
}

deny "banned" {
  source = [ipset.banned, ipset.limit]

  log {
    prefix = "$banned: "
  }
}

default {
  allow = [ipset.office]
}
