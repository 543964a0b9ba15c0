package iptables_test

// phaseTables are about the order of phases and their verdicts.
var phaseTables = []packetTable{
	{"an empty policy drops new inbound packets, and no other ones", ``, `
		src=192.0.2.1 tcp pub=80                         drop
		src=2001:db8::1 tcp pub=80                       drop
		src=192.0.2.1 icmp type=8                        drop
		src=192.0.2.1 tcp pub=80 established             accept
		src=192.0.2.1 tcp related                        accept
		src=192.0.2.1 tcp established reply              accept
		src=192.0.2.1 tcp invalid                        drop
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0   docker
		src=172.17.0.2 in=docker0 out=docker0            docker
		src=192.0.2.1 in=eth01                           docker
	`},
	{"a deny precedes every accept, whatever the order in the policy", `
		accept "first" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		deny "bad" {
		  source = ["192.0.2.66"]
		}
		accept "last" {
		  source = ["192.0.2.66"]
		}
		default {
		  allow = ["192.0.2.66"]
		}
	`, `
		src=192.0.2.66 tcp pub=443                       drop
		src=192.0.2.66 udp                               drop
		src=192.0.2.67 tcp pub=443                       accept
		src=192.0.2.66 tcp pub=443 established           accept
	`},
	{"an accept precedes the default, whatever the order in the policy", `
		default {
		  allow = []
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
	`, `
		src=192.0.2.1 tcp pub=443                        accept
		src=192.0.2.1 tcp pub=444                        drop
	`},
	{"a deny applies although the default is return", `
		deny "bad" {
		  source = ["192.0.2.66"]
		}
		default {
		  action = "return"
		}
	`, `
		src=192.0.2.66 tcp pub=443                       drop
		src=192.0.2.67 tcp pub=443                       docker
	`},
	{"verdict = return leaves accepted packets to Docker's rules", `
		host {
		  external_interfaces = ["eth0"]
		  verdict             = "return"
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		deny "bad" {
		  source = ["192.0.2.66"]
		}
	`, `
		src=192.0.2.1 tcp pub=443                        docker
		src=192.0.2.1 established                        docker
		src=192.0.2.1 tcp pub=80                         drop
		src=192.0.2.66 tcp pub=443                       drop
	`},
	{"install = jump returns accepted packets to DOCKER-USER", `
		host {
		  external_interfaces = ["eth0"]
		  install             = "jump"
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
	`, `
		src=192.0.2.1 tcp pub=443                        docker
		src=192.0.2.1 tcp pub=80                         drop
	`},
	{"sessions = recheck: packets of established connections from clients pass all rules", `
		established {
		  sessions     = "recheck"
		  drop_invalid = true
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		deny "bad" {
		  source = ["192.0.2.66"]
		}
		default {
		  allow = ["198.51.100.1"]
		}
	`, `
		src=192.0.2.1 tcp established reply              accept
		src=192.0.2.1 tcp related                        accept
		src=192.0.2.1 tcp pub=443 established            accept
		src=192.0.2.66 tcp pub=443 established           drop
		src=192.0.2.1 tcp pub=80 established             drop
		src=198.51.100.1 tcp pub=80 established          docker
		src=198.51.100.1 tcp invalid                     drop
	`},
}
