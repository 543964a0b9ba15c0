host {
  external_interfaces = ["eth0"]
}

deny "a" {
  source = ["192.0.2.1"]

  log {
    prefix = "this prefix has more than 29 bytes: "
    level  = "loud"
  }
}

deny "b" {
  source = ["192.0.2.2"]

  log {
    prefix      = "say \"hello\""
    level       = "info"
    nflog_group = 65536
  }
}

deny "c" {
  source = ["192.0.2.3"]

  log {
    prefix = ""
    limit  = "often"
  }
}

deny "d" {
  source = ["192.0.2.4"]

  log {
    level       = "info"
    nflog_group = 1
  }
}
