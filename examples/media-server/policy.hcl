# A media server: its ports are open, the web ports only for a CDN, and each of the
# CDN's addresses may open a limited number of connections at a time.

host {
  external_interfaces = ["eth0"]
}

ipset "cdn" {
  entries = ["198.51.100.0/24", "203.0.113.0/24", "2001:db8:cd::/48"]
}

established {
  drop_invalid = true
}

# Block lists come first, whatever is accepted below.
deny "banned" {
  source = [ipset.banned]

  log {
    prefix = "dockerfw banned: "
    limit  = "6/minute"
  }
}

# fail2ban fills this one.
ipset "banned" {
  managed = false
  timeout = 3600
}

accept "signalling" {
  protocol        = "tcp"
  published_ports = [7880, 7881]
}

accept "turn" {
  protocol        = "udp"
  published_ports = [7882, 3478, 443]
}

accept "media" {
  protocol        = "udp"
  published_ports = ["50000-50100"]
}

accept "web" {
  for_each = { http = 80, https = 443 }

  protocol        = "tcp"
  published_ports = [each.value]
  source          = [ipset.cdn]

  rate {
    limit = "20/second"
    burst = 40
  }

  connections {
    max = 200
  }
}

accept "trial" {
  protocol        = "tcp"
  published_ports = [9000]
  source          = ["192.0.2.50"]
  expires         = "2037-12-31"
  description     = "the supplier's test, until the contract ends"
}

# The host itself: ssh for everyone, and nothing else.
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}
