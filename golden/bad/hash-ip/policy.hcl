host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  type      = "hash:ip"
  aggregate = true
  entries   = ["192.0.2.1"]
}

ipset "wide" {
  type    = "hash:ip"
  entries = ["10.0.0.0/8"]
}

ipset "zero" {
  type    = "hash:ip"
  entries = ["0.0.0.0"]
}
