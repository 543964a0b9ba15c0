# A host that is closed, too: only the web, and ssh from the office. Everything else is refused,
# whether Docker forwards it, docker-proxy answers it, or a service of the host.

host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries = ["198.51.100.0/24", "2001:db8:51::/48"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = [ipset.office]
  }

  accept "wireguard" {
    protocol = "udp"
    ports    = [51820]
  }
}

test "the office reaches sshd" {
  from    = "198.51.100.7"
  to_port = 22
  to_host = true
  expect  = "allowed"
  by      = "accept.ssh"
}

test "other clients do not reach sshd" {
  from    = "2001:db8:99::1"
  to_port = 22
  to_host = true
  expect  = "drop"
  by      = "default"
}

test "docker-proxy answers no port that is not listed" {
  from    = "2001:db8:99::1"
  to_port = 5432
  proxy   = true
  expect  = "refused"
}

test "the web is open over docker-proxy, too" {
  from    = "2001:db8:99::1"
  to_port = 443
  proxy   = true
  expect  = "allowed"
  by      = "accept.web"
}

test "ping is left to the host's own rules" {
  from     = "192.0.2.99"
  protocol = "icmp"
  to_host  = true
  expect   = "docker"
}
