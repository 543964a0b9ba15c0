# One mistake on all hosts is one error, although its text contains the host.
host "web1" {
  external_interfaces = ["eth0"]
}

host "web2" {
  external_interfaces = ["eth0"]
}

host "web3" {
  external_interfaces = ["eth0"]
}

host "db" {
  external_interfaces = ["eth0"]
}

ipset "clients" {
  files = ["lists/${host.name}.txt"]
}

accept "web" {
  source          = [ipset.clients]
  protocol        = "tcp"
  published_ports = [443]
}

# A mistake on some of them.
accept "admin" {
  hosts           = ["web*"]
  source          = ["${host.name}.example"]
  protocol        = "tcp"
  published_ports = [8443]
}
