host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries = ["192.0.2.0/33", "192.0.2.0/255.255.255.0", "2001:db8::/129", "192.0.2.0/", "192.0.2.0/024"]
}
