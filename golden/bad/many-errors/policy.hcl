host {
  external_interface = ["eth0"]
}

ipset "ipfriends" {
  entries = ["192.0.2.10/24", "10.1"]
}

accept "https" {
  protocol        = "tpc"
  published_ports = [443, 70000]
  source          = [ipset.ipfriend]
}

default {
  allow = ["ipset.ipfriends"]
  acton = "drop"
}
