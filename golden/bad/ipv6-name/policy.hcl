# Names of IPv6 sets that are not possible.
host {
  external_interfaces = ["eth0"]
}

ipset "managed" {
  entries   = ["192.0.2.1"]
  ipv6_name = "managed6"
}

ipset "words" {
  managed   = false
  ipv6_name = "two words"
}

ipset "ending" {
  managed   = false
  ipv6_name = "ending-v6"
}

ipset "same" {
  managed   = false
  ipv6_name = "words"
}

ipset "first" {
  managed   = false
  ipv6_name = "six"
}

ipset "second" {
  managed   = false
  ipv6_name = "six"
}
