# Of many valid names only the nearest are shown.
host "web01" {
  external_interfaces = ["eth0"]
}

host "web02" {
  external_interfaces = ["eth0"]
}

host "web03" {
  external_interfaces = ["eth0"]
}

host "web04" {
  external_interfaces = ["eth0"]
}

host "web05" {
  external_interfaces = ["eth0"]
}

host "web06" {
  external_interfaces = ["eth0"]
}

host "web07" {
  external_interfaces = ["eth0"]
}

host "web08" {
  external_interfaces = ["eth0"]
}

host "web09" {
  external_interfaces = ["eth0"]
}

host "web10" {
  external_interfaces = ["eth0"]
}

host "web11" {
  external_interfaces = ["eth0"]
}

host "web12" {
  external_interfaces = ["eth0"]
}

accept "web" {
  hosts           = ["wbe07", "WEB03", "db"]
  protocol        = "tcp"
  published_ports = [443]
}

test "nowhere" {
  host    = "web13"
  from    = "192.0.2.1"
  to_port = 443
  expect  = "accept"
}
