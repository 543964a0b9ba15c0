host {
  external_interfaces = ["eth0"]
}

accept "web" {
  protocol        = "tcp"
  published_ports = [443]

  rate {
    limit = "20/fortnight"
    burst = 0
    per   = "host"
  }

  rate {
    limit = "3/day"
  }

  connections {
    max           = 0
    per_prefix_v4 = 33
  }
}

accept "slow" {
  protocol        = "tcp"
  published_ports = [444]

  rate {
    limit = "3/day"
  }

  connections {
  }
}

accept "fast" {
  protocol        = "tcp"
  published_ports = [445]

  rate {
    limit = "20000/second"
  }
}

deny "both" {
  protocol        = "tcp"
  published_ports = [446]

  rate {
    limit = "20/second"
  }

  connections {
    max = 50
  }
}
