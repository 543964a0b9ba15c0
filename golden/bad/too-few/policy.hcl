# Lists that are empty or too short, and one that may be empty.
host {
  external_interfaces = ["eth0"]
}

ipset "empty" {
  files = ["lists/empty.txt"]
}

ipset "short" {
  files       = ["lists/short.txt"]
  exclude     = ["203.0.113.0/24"]
  min_entries = 3
}

ipset "long_enough" {
  files       = ["lists/short.txt"]
  min_entries = 3
}

ipset "may_be_empty" {
  files       = ["lists/empty.txt"]
  min_entries = 0
}

ipset "nobody" {
  files = ["lists/empty.txt"]
}

ipset "both" {
  type    = "list:set"
  members = [ipset.empty, ipset.short]
}

deny "both" {
  source = [ipset.both]
}

deny "others" {
  source     = [ipset.may_be_empty]
  source_not = [ipset.long_enough]
}

default {
  allow = [ipset.nobody]
}
