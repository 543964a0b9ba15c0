# 80 and 443 for a CDN's servers only. Its published ranges stay in files as they
# are; one range that the CDN gave up is subtracted.

host {
  external_interfaces = ["eth0"]
}

ipset "cdn" {
  files         = ["lists/cdn-v4.txt", "lists/cdn-v6.txt", "lists/cdn-extra.json"]
  exclude_files = ["lists/not-cdn.txt"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
  source          = [ipset.cdn]
}

# The host itself: ssh for everyone, and nothing else.
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}
