host {
  external_interfaces = ["eth0"]
}

accept "a" {
  for_each        = { http = 80, http = 8080 }
  protocol        = "tcp"
  published_ports = [each.value]
}

accept "b" {
  for_each        = ["x", "x"]
  protocol        = "tcp"
  published_ports = [443]
}

accept "c" {
  for_each        = { web = { port = 80 } }
  protocol        = "tcp"
  published_ports = [each.value.prot]
}

accept "d" {
  for_each        = { "10.0.0.0/8" = 80 }
  protocol        = "tcp"
  published_ports = [each.value]
}

accept "e" {
  for_each        = 80
  protocol        = "tcp"
  published_ports = [each.value]
}

accept "a-http" {
  protocol        = "tcp"
  published_ports = [81]
}
