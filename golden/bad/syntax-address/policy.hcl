host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries = [203.0.113.5, 203.0.113.0/24, 192.0.2.1-192.0.2.9, "192.0.2.20"]
}

default {
  allow = [
    2001:db8::1,
    fe80::/10,
  ]
}
