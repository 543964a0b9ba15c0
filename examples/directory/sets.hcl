ipset "office" {
  entries = [cidrsubnet("192.0.2.0/24", 2, 1), "2001:db8:0:1::/64"]
}

ipset "vpn" {
  entries = [for n in ["a", "b"] : local.vpn_networks[n]]
}

locals {
  vpn_networks = {
    a = "198.51.100.0/25"
    b = "198.51.100.128/26"
  }
}
