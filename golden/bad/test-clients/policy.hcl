# Tests about several clients that contradict themselves.
host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  entries = ["192.0.2.0/24"]
}

accept "postgres" {
  protocol        = "tcp"
  published_ports = [5432]
  source          = [ipset.office]
}

test "no client" {
  to_port = 5432
  expect  = "refused"
}

test "one address with an exception" {
  from     = "192.0.2.1"
  from_not = [ipset.office]
  to_port  = 5432
  expect   = "refused"
}

test "a network" {
  from    = "192.0.2.0/24"
  to_port = 5432
  expect  = "allowed"
}

test "a set" {
  from    = ipset.office
  to_port = 5432
  expect  = "allowed"
}

test "nobody" {
  from    = []
  to_port = 5432
  expect  = "refused"
}

test "no exception" {
  from_not = []
  to_port  = 5432
  expect   = "refused"
}

test "everyone" {
  from    = "everyone"
  to_port = 5432
  expect  = "refused"
}

test "no port" {
  from   = "anyone"
  expect = "refused"
}

test "bad addresses" {
  from     = ["192.0.2.1/24"]
  from_not = "192.0.2.1"
  to_port  = 5432
  expect   = "refused"
}
