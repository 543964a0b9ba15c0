host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  files = ["office.txt"]
}

default {
  allow  = [ipset.office]
  action = "drpo"
}
