# Containers may reach the Internet, and nothing private outside the host but the
# resolver.

host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}

# What leaves containers by an external interface. Replies pass; what is not
# denied here stays open.
egress {
  deny "private" {
    destination     = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
    destination_not = ["192.168.1.53"]
  }

  deny "mail" {
    protocol        = "tcp"
    container_ports = [25]
    action          = "reject"

    log {
      nflog_group = 10
      limit       = "1/second"
    }
  }
}
