# With container_interfaces, another br- bridge may belong to Docker or to the host.
host {
  external_interfaces  = ["eth0"]
  container_interfaces = ["docker0"]
}

test "a bridge that is not listed" {
  from       = "10.9.0.2"
  interface  = "br-lan"
  to_address = "192.0.2.1"
  to_port    = 443
  expect     = "allowed"
}
