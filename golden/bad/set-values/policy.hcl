host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  type     = "hash:mac"
  hashsize = 0
  maxelem  = -1
  timeout  = 9999999
}
