host {
  external_interfaces = ["eth0"]
}

ipset "" {
}

ipset "a-name-of-twenty-five-byte" {
}

ipset "büro" {
}

ipset "1st" {
}

ipset "office-v6" {
}

ipset "office-new" {
}

ipset "office.v4" {
}
