package iptables_test

// interfaceTables are about interfaces and the egress chain.
var interfaceTables = []packetTable{
	{"several external interfaces, some with a wildcard", `
		host {
		  external_interfaces = ["eth0", "wg+"]
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		accept "vpn" {
		  protocol        = "tcp"
		  published_ports = [22]
		  interfaces      = ["wg1", "tun+"]
		}
		deny "bad" {
		  source     = ["203.0.113.0/24"]
		  interfaces = ["eth+"]
		}
	`, `
		src=192.0.2.1 in=eth0 tcp pub=443                accept
		src=192.0.2.1 in=wg0 tcp pub=443                 accept
		src=192.0.2.1 in=wg tcp pub=443                  accept
		src=192.0.2.1 in=eth1 tcp pub=443                docker
		src=192.0.2.1 in=wg1 tcp pub=22                  accept
		src=192.0.2.1 in=wg0 tcp pub=22                  drop
		src=192.0.2.1 in=eth0 tcp pub=22                 drop
		src=192.0.2.1 in=tun5 tcp pub=22                 accept
		src=192.0.2.1 in=tun5 tcp pub=23                 docker
		src=192.0.2.1 in=tun5 tcp pub=23 established     accept
		src=203.0.113.9 in=eth7 tcp pub=443              drop
		src=203.0.113.9 in=eth0 tcp pub=443              drop
		src=203.0.113.9 in=wg0 tcp pub=443               accept
	`},
	{"with container_interfaces, other routed packets reach Docker's rules", `
		host {
		  external_interfaces  = ["eth0"]
		  container_interfaces = ["docker0", "br-+"]
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		accept "dmz" {
		  protocol        = "tcp"
		  published_ports = [25]
		  out_interfaces  = ["br-dmz"]
		}
	`, `
		src=192.0.2.1 out=docker0 tcp pub=443            accept
		src=192.0.2.1 out=br-1234 tcp pub=443            accept
		src=192.0.2.1 out=virbr0 tcp pub=443             docker
		src=192.0.2.1 out=docker0 tcp pub=80             drop
		src=192.0.2.1 out=br-x tcp pub=80                drop
		src=192.0.2.1 out=virbr0 tcp pub=80              docker
		src=192.0.2.1 out=virbr0 tcp established         docker
		src=192.0.2.1 out=br-dmz tcp pub=25              accept
		src=192.0.2.1 out=br-x tcp pub=25                drop
	`},
	{"egress has its own chain", `
		egress {
		  deny "smtp" {
		    protocol        = "tcp"
		    container_ports = [25]
		  }
		  accept "dns" {
		    protocol        = "udp"
		    container_ports = [53]
		  }
		  default {
		    allow = ["203.0.113.0/24"]
		  }
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
	`, `
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0 tcp port=25             drop
		src=172.17.0.2 dst=203.0.113.1 in=docker0 out=eth0 tcp port=25         drop
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0 udp port=53             accept
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0 tcp port=80             drop
		src=172.17.0.2 dst=203.0.113.1 in=docker0 out=eth0 tcp port=80         docker
		src=172.17.0.2 dst=1.1.1.1 in=docker0 out=eth0 tcp established         accept
		src=172.17.0.2 in=docker0 out=br-1 tcp port=25                         docker
		src=192.0.2.1 tcp pub=443                                              accept
		src=192.0.2.1 tcp pub=25                                               drop
	`},
}
