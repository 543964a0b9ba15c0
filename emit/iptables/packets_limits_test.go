package iptables_test

// limitTables are about rates, connection limits and logging.
var limitTables = []packetTable{
	{"rate: an accept matches up to the limit, a deny above it", `
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		  rate {
		    limit = "20/second"
		  }
		}
		deny "flood" {
		  protocol        = "udp"
		  published_ports = [53]
		  action          = "reject"
		  rate {
		    limit = "20/second"
		    per   = "rule"
		  }
		}
		default {
		  allow = ["192.0.2.0/24"]
		}
	`, `
		src=198.51.100.1 tcp pub=443                     accept
		src=198.51.100.1 tcp pub=443 overrate            drop
		src=192.0.2.1 udp pub=53                         docker
		src=192.0.2.1 udp pub=53 overrate                reject icmp-admin-prohibited
		src=192.0.2.1 udp pub=53 overrate established    accept
	`},
	{"connections: an accept matches up to the limit, a deny above it", `
		established {
		  sessions = "recheck"
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		  connections {
		    max = 20
		  }
		}
		deny "many" {
		  protocol = "tcp"
		  connections {
		    max = 100
		  }
		  source = ["192.0.2.0/24", "198.51.100.1"]
		}
		default {
		  allow = ["192.0.2.0/24"]
		}
	`, `
		src=203.0.113.1 tcp pub=443                      accept
		src=203.0.113.1 tcp pub=443 overnumber           drop
		src=203.0.113.1 tcp pub=443 overnumber established accept
		src=192.0.2.1 tcp pub=80                         docker
		src=192.0.2.1 tcp pub=80 overnumber              drop
		src=198.51.100.1 tcp pub=443 overnumber          drop
		src=192.0.2.1 tcp pub=80 overnumber established  docker
	`},
	{"log does not change the verdict", `
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		  log {}
		}
		deny "bad" {
		  source = ["192.0.2.66"]
		  log {
		    nflog_group = 5
		  }
		}
		default {
		  log {}
		  allow = ["198.51.100.1"]
		}
	`, `
		src=192.0.2.1 tcp pub=443                        accept+log
		src=192.0.2.66 tcp pub=443                       drop+log
		src=192.0.2.1 tcp pub=80                         drop+log
		src=198.51.100.1 tcp pub=80                      docker
		src=192.0.2.1 tcp pub=443 established            accept
	`},
}
