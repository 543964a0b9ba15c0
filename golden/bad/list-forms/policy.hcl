host {
  external_interfaces = ["eth0"]
}

ipset "office" {
  files = [
    "countries.csv", "cloud.json", "log.jsonl", "objects.json", "page.txt",
    "sets.save", "list.yaml", "commas.txt", "empty.json",
  ]
}

default {
  allow = [ipset.office]
}
