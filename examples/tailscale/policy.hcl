# 9003 for the carrier-grade range that Tailscale hands out, and 9004 for every
# client on Tailscale's own interface, whatever the address. So is ssh of the host.

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

input {
  accept "ssh" {
    protocol   = "tcp"
    ports      = [22]
    interfaces = ["tailscale0"]
  }

  # Without this port, Tailscale may have to use its relays.
  accept "tailscale" {
    protocol   = "udp"
    ports      = [41641]
    interfaces = ["eth0"]
  }
}

test "ssh is for Tailscale's clients" {
  from      = "100.101.102.103"
  interface = "tailscale0"
  to_port   = 22
  to_host   = true
  expect    = "allowed"
}

test "ssh is for nobody else" {
  from      = "anyone"
  interface = "eth0"
  to_port   = 22
  to_host   = true
  expect    = "refused"
}
