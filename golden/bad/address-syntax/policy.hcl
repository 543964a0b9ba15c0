host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries = ["office.example.org", "10.1", "192.0.2.010", "192.0.2.300", "::ffff:192.0.2.1", "fe80::1%eth0", "192.0.2.1:443", ""]
}
