host {
  external_interfaces = ["eth0"]
}

ipset "a" {
  entries = ["192.0.2.1"]
}

ipset "b" {
  type    = "list:set"
  members = [ipset.a, ipset.a, "a"]
  entries = ["192.0.2.2"]
}

ipset "c" {
  type    = "list:set"
  members = [ipset.b]
}

ipset "d" {
  type = "list:set"
}

ipset "e" {
  members = [ipset.a]
}
