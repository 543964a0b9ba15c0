# Two Redis containers, both listening on 6379, published on 7777 and 8888. The ports
# are the published ones, so each has clients of its own. Everyone else gets a reject.

host {
  external_interfaces = ["eth0"]
}

accept "redis-staging" {
  protocol        = "tcp"
  published_ports = [7777]
  source          = ["192.168.56.0/24"]
}

accept "redis-production" {
  protocol        = "tcp"
  published_ports = [8888]
  source          = ["10.0.24.0/24"]
}

default {
  action = "reject"
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }

  default {
    action = "reject"
  }
}
