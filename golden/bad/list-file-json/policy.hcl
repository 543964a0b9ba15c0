host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  files = ["office.json", "object.json"]
}

default {
  allow = [ipset.office]
}
