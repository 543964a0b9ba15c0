host {
  external_interfaces = ["eth0"]
}

deny "" {
  source = ["192.0.2.1"]
}

deny "two words" {
  source = ["192.0.2.1"]
}

deny "-x" {
  source = ["192.0.2.1"]
}
