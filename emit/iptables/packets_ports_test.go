package iptables_test

// portTables are about published ports, container ports and published addresses.
var portTables = []packetTable{
	{"a published port is the port before DNAT", `
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443, "8000-8010"]
		}
	`, `
		src=192.0.2.1 tcp pub=443 port=8443              accept
		src=2001:db8::1 tcp pub=443 port=8443            accept
		src=192.0.2.1 tcp pub=443                        accept
		src=192.0.2.1 tcp pub=444 port=443               drop
		src=192.0.2.1 udp pub=443                        drop
		src=192.0.2.1 tcp pub=8000                       accept
		src=192.0.2.1 tcp pub=8010 port=80               accept
		src=192.0.2.1 tcp pub=8011                       drop
		src=192.0.2.1 tcp pub=7999                       drop
		# A packet routed to the container without DNAT: the port is not published.
		src=192.0.2.1 tcp port=443                       drop
		src=192.0.2.1 tcp pub=443 reply                  drop
	`},
	{"a container port is the port after DNAT", `
		accept "web" {
		  protocol        = ["tcp", "udp"]
		  container_ports = [8443]
		  source_ports    = ["1024-65535"]
		}
	`, `
		src=192.0.2.1 tcp pub=443 port=8443 sport=2000   accept
		src=192.0.2.1 udp port=8443 sport=1024           accept
		src=192.0.2.1 udp port=8443 sport=1023           drop
		src=192.0.2.1 tcp pub=8443 port=443 sport=2000   drop
		src=192.0.2.1 sctp port=8443 sport=2000          drop
	`},
	{"published and container port must both match", `
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		  container_ports = [8443]
		}
	`, `
		src=192.0.2.1 tcp pub=443 port=8443              accept
		src=192.0.2.1 tcp pub=443 port=8444              drop
		src=192.0.2.1 tcp pub=444 port=8443              drop
	`},
	{"a published address is the address before DNAT", `
		accept "web" {
		  protocol          = "tcp"
		  published_ports   = [443]
		  published_address = ["198.51.100.1", "198.51.100.2", "2001:db8:ffff::9"]
		}
		deny "admin" {
		  published_address = ["198.51.100.9"]
		}
		accept "v4-only" {
		  protocol          = "udp"
		  published_address = ["198.51.100.3"]
		}
	`, `
		src=192.0.2.1 tcp pub=443 at=198.51.100.2        accept
		src=192.0.2.1 tcp pub=443 at=198.51.100.3        drop
		src=192.0.2.1 tcp pub=80 at=198.51.100.1         drop
		src=192.0.2.1 tcp port=443 dst=198.51.100.1      drop
		src=2001:db8::1 tcp pub=443 at=2001:db8:ffff::9  accept
		src=2001:db8::1 tcp pub=443 at=2001:db8:ffff::8  drop
		src=192.0.2.1 udp at=198.51.100.3 port=5         accept
		src=192.0.2.1 tcp at=198.51.100.3 port=5         drop
		src=2001:db8::1 udp at=2001:db8:ffff::9 port=5   drop
	`},
}
