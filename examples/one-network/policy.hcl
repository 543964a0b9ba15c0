# Only one network, and three addresses of another, may reach what is published. No
# rule lists a port, so proxy_ports lists those to protect at docker-proxy.

host {
  external_interfaces = ["ext_if"]
  proxy_ports         = [80, 443, "8000-8099"]
}

default {
  allow = ["192.0.2.0/24", "198.51.100.1-198.51.100.3"]
}

test "other clients do not get in through docker-proxy" {
  from    = "2001:db8::99"
  to_port = 8042
  proxy   = true
  expect  = "drop"
}
