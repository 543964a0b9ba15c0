host "a" {
  external_interfaces = ["eth0"]
  input_guard         = "yes, please"
  proxy_ports         = [0, "70000", "90-80", "53/upd", "8/icmp", 80, "70-90/tcp", "80/udp", true, "1:2", "53/tcp/udp", null]
}

host "b" {
  external_interfaces = ["eth0"]
  input_guard         = false
  proxy_ports         = [8080]
}

host "c" {
  external_interfaces = ["eth0"]
  input_gaurd         = false
  proxy_ports         = 8080
}
