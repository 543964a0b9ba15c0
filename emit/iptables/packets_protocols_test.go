package iptables_test

// protocolTables are about families, protocols, ICMP types and reject.
var protocolTables = []packetTable{
	{"families = ipv4 makes no IPv6 rules", `
		host {
		  external_interfaces = ["eth0"]
		  families            = ["ipv4"]
		}
	`, `
		src=192.0.2.1                                    drop
		src=2001:db8::1                                  docker
	`},
	{"reject sends the error that fits protocol and family", `
		deny "a" {
		  source = ["192.0.2.0/24", "2001:db8::/32"]
		  action = "reject"
		}
		deny "b" {
		  protocol = ["udp", "tcp"]
		  action   = "reject"
		}
		default {
		  action = "reject"
		}
	`, `
		src=192.0.2.1 tcp                                reject tcp-reset
		src=192.0.2.1 udp                                reject icmp-admin-prohibited
		src=192.0.2.1 icmp type=8                        reject icmp-admin-prohibited
		src=2001:db8::1 tcp                              reject tcp-reset
		src=2001:db8::1 udp                              reject icmp6-adm-prohibited
		src=198.51.100.1 udp                             reject icmp-admin-prohibited
		src=198.51.100.1 tcp                             reject tcp-reset
		src=198.51.100.1 sctp                            reject icmp-admin-prohibited
		src=2001:db9::1 proto=47                         reject icmp6-adm-prohibited
		src=2001:db9::1 tcp                              reject tcp-reset
	`},
	{"ICMP types apply to their own family only", `
		accept "ping" {
		  icmp_types = ["echo-request"]
		}
		accept "too-big" {
		  icmp_types = ["fragmentation-needed", "packet-too-big"]
		}
		accept "numbers" {
		  protocol   = "icmp"
		  icmp_types = [13, "11/1"]
		}
		accept "numbers6" {
		  protocol   = "icmpv6"
		  icmp_types = ["1/4"]
		}
		deny "all-other-icmp" {
		  protocol = ["icmp", "icmpv6"]
		  action   = "reject"
		  source   = ["192.0.2.66", "2001:db8::66"]
		}
	`, `
		src=192.0.2.1 icmp type=8                        accept
		src=192.0.2.1 icmp type=128                      drop
		src=2001:db8::1 icmpv6 type=128                  accept
		src=2001:db8::1 icmpv6 type=8                    drop
		src=2001:db8::1 icmp type=8                      drop
		src=192.0.2.1 icmp type=3/4                      accept
		src=192.0.2.1 icmp type=3/3                      drop
		src=192.0.2.1 icmp type=2                        drop
		src=2001:db8::1 icmpv6 type=2                    accept
		src=192.0.2.1 icmp type=13                       accept
		src=192.0.2.1 icmp type=11/1                     accept
		src=192.0.2.1 icmp type=11/0                     drop
		src=2001:db8::1 icmpv6 type=13                   drop
		src=2001:db8::1 icmpv6 type=1/4                  accept
		src=2001:db8::1 icmpv6 type=1/3                  drop
		src=192.0.2.66 icmp type=8                       reject icmp-admin-prohibited
		src=2001:db8::66 icmpv6 type=128                 reject icmp6-adm-prohibited
		src=192.0.2.66 tcp                               drop
	`},
	{"ICMP in a list of protocols applies to IPv4 only", `
		accept "a" {
		  protocol = ["icmp", "tcp"]
		}
	`, `
		src=192.0.2.1 icmp type=8                        accept
		src=192.0.2.1 tcp                                accept
		src=2001:db8::1 tcp                              accept
		src=2001:db8::1 icmp                             drop
		src=2001:db8::1 icmpv6 type=128                  drop
	`},
}
