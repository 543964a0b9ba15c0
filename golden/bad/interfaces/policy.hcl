host {
  external_interfaces  = ["eth0,eth1", "eth0:1", "+", "averylonginterface", "avery0", "eth 0", "", "e+h", "eth0", "eth0"]
  container_interfaces = ["br-+", "br-1"]
  internal_interfaces  = ["lan0", "eth0", "eth:0", "av+"]
}
