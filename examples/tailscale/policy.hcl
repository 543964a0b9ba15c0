# 9003 for the carrier-grade range that Tailscale hands out, and 9004 for every
# client on Tailscale's own interface, whatever the address.

host {
  external_interfaces = ["eth0", "tailscale0"]
}

accept "metrics" {
  protocol        = "tcp"
  published_ports = [9003]
  source          = ["100.64.0.0/10"]
}

accept "admin" {
  protocol        = "tcp"
  published_ports = [9004]
  interfaces      = ["tailscale0"]
}
