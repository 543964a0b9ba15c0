# What compiles for nftables, but is rarely intended there.

host {
  external_interfaces = ["eth0"]
  target              = "nftables"
}

ipset "world" {
  type    = "hash:ip"
  entries = ["10.0.0.0/16", "10.1.0.0/16"]
}

deny "world" {
  source = [ipset.world]
}

accept "database" {
  protocol        = "tcp"
  container_ports = [5432]
}

accept "everything" {
  source = ["192.0.2.1"]
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}
