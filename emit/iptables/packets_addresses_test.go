package iptables_test

// addressTables are about sources, destinations, sets and default.allow.
var addressTables = []packetTable{
	{"sources: one literal address", `
		accept "a" {
		  source   = ["192.0.2.0/24"]
		  protocol = "tcp"
		}
		accept "b" {
		  source   = ["2001:db8::1"]
		  protocol = "udp"
		}
	`, `
		src=192.0.2.255 tcp                              accept
		src=192.0.3.0 tcp                                drop
		src=2001:db8::1 tcp                              drop
		src=2001:db8::1 udp                              accept
		src=2001:db8::2 udp                              drop
		src=192.0.2.1 udp                                drop
	`},
	{"sources: several literal addresses, ranges, and a set", `
		ipset "clients" {
		  entries = ["198.51.100.7", "2001:db8:1::/48"]
		  exclude = ["2001:db8:1:dead::/64"]
		}
		accept "a" {
		  source = ["192.0.2.10-192.0.2.19", ipset.clients, "192.0.2.128/25", "2001:db8:2::1"]
		}
	`, `
		src=192.0.2.9                                    drop
		src=192.0.2.10                                   accept
		src=192.0.2.19                                   accept
		src=192.0.2.20                                   drop
		src=192.0.2.200                                  accept
		src=198.51.100.7                                 accept
		src=2001:db8:1::5                                accept
		src=2001:db8:1:dead::5                           drop
		src=2001:db8:2::1                                accept
		src=2001:db8:2::2                                drop
	`},
	{"sources: exclusions", `
		ipset "bad" {
		  entries = ["192.0.2.0/28", "2001:db8:bad::/48"]
		}
		accept "a" {
		  source     = ["192.0.2.0/24", "2001:db8::/32"]
		  source_not = [ipset.bad, "192.0.2.99", "192.0.2.101"]
		  protocol   = "tcp"
		}
		accept "b" {
		  source_not = ["198.51.100.1", "2001:db8::1"]
		  protocol   = "udp"
		}
		accept "c" {
		  source     = ["192.0.2.0/24"]
		  source_not = ["192.0.2.1"]
		  protocol   = "sctp"
		}
	`, `
		src=192.0.2.5 tcp                                drop
		src=192.0.2.98 tcp                               accept
		src=192.0.2.99 tcp                               drop
		src=192.0.2.101 tcp                              drop
		src=192.0.3.1 tcp                                drop
		src=2001:db8:bad::1 tcp                          drop
		src=2001:db8:1::1 tcp                            accept
		src=198.51.100.1 udp                             drop
		src=198.51.100.2 udp                             accept
		src=2001:db8::1 udp                              drop
		src=2001:db8::2 udp                              accept
		src=192.0.2.1 sctp                               drop
		src=192.0.2.2 sctp                               accept
		src=2001:db8::2 sctp                             drop
	`},
	{"destinations: addresses and exclusions", `
		accept "a" {
		  destination     = ["172.18.0.0/16", "fd00::2"]
		  destination_not = ["172.18.0.5", "172.18.0.7"]
		}
	`, `
		src=192.0.2.1 dst=172.18.0.4                     accept
		src=192.0.2.1 dst=172.18.0.5                     drop
		src=192.0.2.1 dst=172.18.0.7                     drop
		src=192.0.2.1 dst=172.17.0.4                     drop
		src=2001:db8::1 dst=fd00::2                      accept
		src=2001:db8::1 dst=fd00::3                      drop
	`},
	{"sources: the prefix of length 0", `
		accept "v4" {
		  source   = ["0.0.0.0/0"]
		  protocol = "tcp"
		}
		accept "v6" {
		  source   = ["::/0"]
		  protocol = "udp"
		}
		accept "both" {
		  source   = ["0.0.0.0/0", "::/0", "192.0.2.1"]
		  protocol = "sctp"
		}
		accept "halves" {
		  source     = ["0.0.0.0/1", "128.0.0.0/1"]
		  source_not = ["192.0.2.1"]
		  protocol   = 47
		}
	`, `
		src=192.0.2.1 tcp                                accept
		src=2001:db8::1 tcp                              drop
		src=192.0.2.1 udp                                drop
		src=2001:db8::1 udp                              accept
		src=192.0.2.1 sctp                               accept
		src=2001:db8::1 sctp                             accept
		src=192.0.2.1 proto=47                           drop
		src=192.0.2.2 proto=47                           accept
		src=2001:db8::1 proto=47                         drop
	`},
	{"sets: the prefix of length 0", `
		ipset "all4" {
		  entries = ["0.0.0.0/0"]
		}
		accept "a" {
		  source = [ipset.all4]
		}
	`, `
		src=0.0.0.1                                      accept
		src=255.1.1.1                                    accept
		src=2001:db8::1                                  drop
	`},
	{"exclusions: the prefix of length 0", `
		accept "a" {
		  source_not = ["0.0.0.0/0", "2001:db8::/32"]
		}
		accept "b" {
		  destination     = ["172.17.0.0/16", "fd00::/8"]
		  destination_not = ["::/0"]
		  protocol        = "udp"
		}
	`, `
		src=192.0.2.1                                    drop
		src=2001:db8::1                                  drop
		src=2001:db9::1                                  accept
		src=192.0.2.1 udp                                accept
		src=2001:db8::1 udp                              drop
	`},
	{"default.allow: the prefix of length 0", `
		default {
		  allow = ["::/0", "192.0.2.1"]
		}
	`, `
		src=2001:db8::1                                  docker
		src=192.0.2.1                                    docker
		src=192.0.2.2                                    drop
	`},
	{"default.allow: sets and literal addresses", `
		ipset "clients" {
		  entries = ["192.0.2.10", "2001:db8::/64"]
		}
		ipset "more" {
		  entries = ["203.0.113.1"]
		}
		default {
		  allow = [ipset.clients, "198.51.100.0/24", "198.51.101.1", ipset.more]
		}
	`, `
		src=192.0.2.10                                   docker
		src=198.51.100.200                               docker
		src=198.51.101.1                                 docker
		src=198.51.101.2                                 drop
		src=203.0.113.1                                  docker
		src=192.0.2.11                                   drop
		src=2001:db8::99                                 docker
		src=2001:db8:1::                                 drop
	`},
	{"default.allow: a set without IPv6 entries admits no IPv6", `
		ipset "clients" {
		  entries = ["192.0.2.10"]
		}
		default {
		  allow = [ipset.clients]
		}
	`, `
		src=192.0.2.10                                   docker
		src=2001:db8::1                                  drop
	`},
	{"a list:set matches the entries of its members", `
		ipset "a" {
		  entries = ["192.0.2.1"]
		}
		ipset "b" {
		  entries = ["192.0.2.2", "2001:db8::2"]
		}
		ipset "all" {
		  type    = "list:set"
		  members = [ipset.a, ipset.b]
		}
		default {
		  allow = [ipset.all]
		}
	`, `
		src=192.0.2.1                                    docker
		src=192.0.2.2                                    docker
		src=192.0.2.3                                    drop
		src=2001:db8::2                                  docker
		src=2001:db8::1                                  drop
	`},
}
