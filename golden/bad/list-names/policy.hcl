host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  files = [
    "https://example.org/lists/ips-v4?x=1",
    "lists/*.txt",
    "lists",
    "192.0.2.0/24",
    file("lists/page.txt"),
    "lists/none.txt",
  ]
}

default {
  allow = [ipset.office]
}
