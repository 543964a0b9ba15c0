# Other tools use DOCKER-USER too, such as fail2ban: the rules are in a chain of their
# own, and what they let through continues to the others and to Docker's own rules. So it
# does in INPUT, where the rules of fail2ban for sshd stay in force.

host {
  external_interfaces = ["eth0"]
  install             = "jump"
}

locals {
  office = ["198.51.100.0/24", "2001:db8::/32"]
}

# A deny overrides every accept.
deny "blocked" {
  source = ["192.0.2.66", "203.0.113.0/24", "2001:db8:bad::/48"]
  action = "reject"
}

accept "ping" {
  icmp_types = ["echo-request"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
  source_not      = ["198.51.100.99", "2001:db8:0:99::/64"]
}

default {
  allow = local.office
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = local.office
  }
}
