package iptables_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// decideInput sends p through the guard as a jump from INPUT would. What the guard
// does not refuse is left to the host.
func decideInput(rs *iptables.Tables, p packet) string {
	for _, program := range rs.Programs {
		if (program.Family == ir.IPv6) == p.src.Is6() && program.ProtectsInput() {
			p.out = ""
			verdict, logged := walk(rs, program, ir.InputChain, p)
			if verdict == "" {
				verdict = "host"
			}
			if logged {
				verdict += "+log"
			}
			return verdict
		}
	}
	return "unguarded"
}

var guardTables = []packetTable{
	{"ports that rules and proxy_ports name are guarded in both families, and no others", `
		host {
		  external_interfaces = ["eth0"]
		  proxy_ports         = [5432, "6000-6010", "53/udp"]
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		default { allow = ["192.0.2.0/24", "2001:db8::/32"] }
	`, `
		src=198.51.100.9 tcp port=443                  host
		src=2001:db9::9 tcp port=443                   host
		src=198.51.100.9 tcp port=5432                 drop
		src=2001:db9::9 tcp port=5432                  drop
		src=192.0.2.9 tcp port=5432                    host
		src=2001:db8::9 tcp port=5432                  host
		src=2001:db9::9 tcp port=5999                  host
		src=2001:db9::9 tcp port=6000                  drop
		src=2001:db9::9 tcp port=6010                  drop
		src=2001:db9::9 tcp port=6011                  host
		src=2001:db9::9 udp port=53                    drop
		src=2001:db9::9 tcp port=53                    host
		src=2001:db9::9 udp port=5432                  host
		# What the host serves itself, and pings, are not the guard's business.
		src=2001:db9::9 tcp port=22                    host
		src=2001:db9::9 icmpv6 type=128                host
		src=2001:db9::9 tcp port=5432 in=eth1          host
		src=2001:db9::9 tcp port=5432 established      host
		src=2001:db9::9 tcp port=5432 invalid          drop
	`},
	{"without a port there is no guard", `
		host { external_interfaces = ["eth0"] }
		deny "bad" { source = ["192.0.2.66"] }
	`, `
		src=192.0.2.66 tcp port=443                    unguarded
		src=2001:db8::1 tcp port=443                   unguarded
	`},
	{"input_guard = false", `
		host {
		  external_interfaces = ["eth0"]
		  input_guard         = false
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
	`, `
		src=192.0.2.66 tcp port=443                    unguarded
	`},
	{"a deny beats every accept, by its action", `
		host {
		  external_interfaces = ["eth0"]
		  proxy_ports         = ["53/udp"]
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		deny "bad" {
		  source = ["192.0.2.66", "2001:db8::66"]
		  action = "reject"
		}
		default { action = "reject" }
	`, `
		src=192.0.2.66 tcp port=443                    reject tcp-reset
		src=2001:db8::66 tcp port=443                  reject tcp-reset
		src=2001:db8::66 udp port=53                   reject icmp6-adm-prohibited
		src=192.0.2.66 udp port=53                     reject icmp-admin-prohibited
		src=2001:db8::66 tcp port=22                   host
		src=2001:db8::67 tcp port=443                  host
		src=2001:db8::67 udp port=53                   reject icmp6-adm-prohibited
	`},
	{"an accept that asks for the container does not hold", `
		host { external_interfaces = ["eth0"] }
		accept "inner" {
		  protocol        = "tcp"
		  published_ports = [8443]
		  container_ports = [443]
		}
		accept "there" {
		  protocol        = "tcp"
		  published_ports = [8444]
		  destination     = ["172.17.0.2"]
		}
		accept "not-there" {
		  protocol        = "tcp"
		  published_ports = [8445]
		  destination_not = ["172.17.0.2"]
		}
		accept "bridge" {
		  protocol        = "tcp"
		  published_ports = [8446]
		  out_interfaces  = ["docker0"]
		}
		accept "any" {
		  protocol        = "tcp"
		  published_ports = [8447]
		}
	`, `
		src=192.0.2.1 tcp port=8443                    drop
		src=192.0.2.1 tcp port=8444 dst=172.17.0.2     drop
		src=192.0.2.1 tcp port=8445                    drop
		src=192.0.2.1 tcp port=8446                    drop
		src=192.0.2.1 tcp port=8447                    host
		src=2001:db8::1 tcp port=8444                  drop
	`},
	{"a deny that names what was published refuses whatever container it is for", `
		host { external_interfaces = ["eth0"] }
		deny "db" {
		  source          = ["192.0.2.0/24", "2001:db8::/32"]
		  protocol        = "tcp"
		  published_ports = [5432]
		  destination     = ["172.17.0.2"]
		  out_interfaces  = ["docker0"]
		}
		default { action = "return" }
	`, `
		src=192.0.2.1 tcp port=5432                    drop
		src=2001:db8::1 tcp port=5432                  drop
		src=198.51.100.1 tcp port=5432                 host
	`},
	{"a deny about containers alone is left out", `
		host { external_interfaces = ["eth0"] }
		deny "db" {
		  source          = ["192.0.2.0/24"]
		  protocol        = "tcp"
		  container_ports = [443]
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
	`, `
		src=192.0.2.1 tcp port=443                     host
	`},
	{"nothing is guarded where nothing would be refused", `
		host { external_interfaces = ["eth0"] }
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
		deny "v4-only" {
		  source          = ["192.0.2.66"]
		  protocol        = "tcp"
		  published_ports = [443]
		}
		default { action = "return" }
	`, `
		src=192.0.2.66 tcp port=443                    drop
		src=192.0.2.1 tcp port=443                     host
		src=2001:db8::66 tcp port=443                  unguarded
	`},
	{"conditions that a packet tells hold as in the forward direction", `
		host {
		  external_interfaces = ["eth0"]
		  proxy_ports         = ["1-65535"]
		}
		established {
		  sessions     = "recheck"
		  drop_invalid = true
		}
		accept "one-address" {
		  protocol          = "tcp"
		  published_ports   = [443]
		  published_address = ["198.51.100.1"]
		}
		accept "low-ports" {
		  protocol        = "tcp"
		  published_ports = [80]
		  source_ports    = ["1-1023"]
		  source_not      = ["192.0.2.66"]
		  log {}
		}
		accept "slow" {
		  protocol        = "tcp"
		  published_ports = [8080]
		  rate { limit = "20/second" }
		}
		accept "tunnel" {
		  protocol        = "tcp"
		  published_ports = [9000]
		  interfaces      = ["wg0"]
		}
		deny "no-tunnel" {
		  protocol        = "tcp"
		  published_ports = [9001]
		  interfaces      = ["wg0"]
		}
	`, `
		src=192.0.2.1 tcp port=443 dst=198.51.100.1            host
		src=192.0.2.1 tcp port=443 dst=198.51.100.2            drop
		src=2001:db8::1 tcp port=443 dst=2001:db8::80          drop
		src=192.0.2.1 tcp port=80 sport=1000                   host+log
		src=192.0.2.1 tcp port=80 sport=1024                   drop
		src=192.0.2.66 tcp port=80 sport=1000                  drop
		src=2001:db8::1 tcp port=80 sport=1000                 host+log
		src=192.0.2.1 tcp port=8080                            host
		src=192.0.2.1 tcp port=8080 overrate                   drop
		src=192.0.2.1 tcp port=8080 overrate established       host
		src=192.0.2.1 tcp port=22 established                  drop
		src=192.0.2.1 tcp port=22 established reply            host
		src=192.0.2.1 tcp port=22 related                      host
		src=192.0.2.1 tcp port=22 invalid                      drop
		src=192.0.2.1 tcp port=9000 in=wg0                     host
		src=192.0.2.1 tcp port=9001 in=wg0                     drop
		src=192.0.2.1 tcp port=9002 in=wg0                     host
		src=192.0.2.1 tcp port=22 in=wg0 invalid               drop
		src=192.0.2.1 tcp port=22 in=eth9 invalid              host
		src=192.0.2.1 udp port=53                              host
	`},
	{"container_interfaces and egress play no part", `
		host {
		  external_interfaces  = ["eth0"]
		  container_interfaces = ["docker0"]
		  proxy_ports          = [443]
		}
		egress {
		  deny "all" { source = ["0.0.0.0/0"] }
		}
	`, `
		src=192.0.2.1 tcp port=443                     drop
		src=192.0.2.1 tcp port=444                     host
	`},
}

func TestPacketsForDockerProxy(t *testing.T) {
	testTables(t, guardTables, decideInput)
}

// The guard returns and refuses: what it passes still meets the host's own rules.
func TestTheGuardAcceptsNothing(t *testing.T) {
	for _, table := range slices.Concat(packetTables, guardTables) {
		for _, p := range table.compile(t).Programs {
			for _, c := range p.Chains {
				guard := c.Name == ir.InputChain || c.Name == ir.ProxyChain
				for _, r := range c.Rules {
					if _, accepts := r.Verdict.(iptables.Accept); guard && accepts {
						t.Errorf("%s: %s accepts by %q", table.name, c.Name, r.ID.Comment())
					}
				}
			}
		}
	}
}

// Ranges that overlap or touch are handed over once.
func TestGuardedPortsAreJoined(t *testing.T) {
	rs, diags := compile(t, `
		host {
		  external_interfaces = ["eth0"]
		  proxy_ports         = ["100-200", 65535, "53/udp", "300-310/sctp"]
		}
		accept "a" {
		  protocol        = ["tcp", "udp"]
		  published_ports = ["150-299", 301, 54]
		}
		deny "b" {
		  protocol        = "tcp"
		  published_ports = [300]
		}
	`)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var got []string
	for _, c := range rs.Programs[0].Chains {
		for _, r := range c.Rules {
			if r.ID.Phase == ir.PhaseInput {
				p := r.Matches[2].(iptables.Ports)
				got = append(got, fmt.Sprintf("%d-%d/%d", p.Dst.First, p.Dst.Last, p.Protocol))
			}
		}
	}
	want := []string{"54-54/6", "100-301/6", "65535-65535/6", "53-54/17", "150-299/17", "301-301/17", "300-310/132"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOnlyDeniesThatTheGuardCannotDecideAreWarnedOf(t *testing.T) {
	for _, c := range []struct {
		name, rule string
		want       int
	}{
		{"about a container's port", `protocol = "tcp"` + "\n" + `container_ports = [80]`, 1},
		{"about a bridge", `out_interfaces = ["br-+"]`, 1},
		{"about all but a container", `destination_not = ["172.17.0.2"]`, 1},
		{"with what was published", `protocol = "tcp"` + "\n" + `container_ports = [80]` + "\n" + `published_ports = [80]`, 0},
		{"of a protocol that is not guarded", `protocol = "udp"` + "\n" + `container_ports = [53]`, 0},
		{"of pings", `icmp_types = ["echo-request"]` + "\n" + `out_interfaces = ["br-+"]`, 0},
		{"of sources", `source = ["192.0.2.1"]`, 0},
	} {
		policy := hostEth0 + "accept \"web\" {\n protocol = \"tcp\"\n published_ports = [443]\n}\n"
		_, diags := compile(t, policy+"deny \"d\" {\n"+c.rule+"\n}\n")
		got := 0
		for _, d := range diags {
			if diag.InfoOf(d).Code == diag.CodeUnguarded {
				got++
			}
		}
		if got != c.want {
			t.Errorf("%s: %d warnings, want %d: %v", c.name, got, c.want, diags)
		}
	}
	_, diags := compile(t, hostEth0+"deny \"d\" {\n out_interfaces = [\"br-+\"]\n}\n")
	if len(diags) > 0 {
		t.Errorf("a host without guarded ports: %v", diags)
	}
}
