host "web1" {
  external_interfaces = ["eth0"]
}

host "web1" {
  external_interfaces = ["eth1"]
}
