package iptables_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// inputVerdict returns the verdict of the INPUT protection on p: "host" if it leaves p to
// the host's own INPUT rules, "unprotected" if the family has no protection.
func inputVerdict(rs *iptables.Tables, p packet) string {
	for _, program := range rs.Programs {
		if (program.Family == ir.IPv6) == p.src.Is6() && program.ProtectsInput() {
			p.out = ""
			verdict, logged := chainVerdict(rs, program.Chains, ir.InputChain, p)
			if verdict == "" {
				verdict = "host"
			}
			if logged {
				verdict += "+log"
			}
			return verdict
		}
	}
	return "unprotected"
}

var protectionTables = []packetTable{
	{"the ports of rules and proxy_ports are protected in both families, other ports are not", `
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
		# The protection does not affect the host's own services, or pings.
		src=2001:db9::9 tcp port=22                    host
		src=2001:db9::9 icmpv6 type=128                host
		src=2001:db9::9 tcp port=5432 in=eth1          host
		src=2001:db9::9 tcp port=5432 established      host
		src=2001:db9::9 tcp port=5432 invalid          drop
	`},
	{"a policy without ports has no INPUT protection", `
		host { external_interfaces = ["eth0"] }
		deny "bad" { source = ["192.0.2.66"] }
	`, `
		src=192.0.2.66 tcp port=443                    unprotected
		src=2001:db8::1 tcp port=443                   unprotected
	`},
	{"input_guard = false disables the protection", `
		host {
		  external_interfaces = ["eth0"]
		  input_guard         = false
		}
		accept "web" {
		  protocol        = "tcp"
		  published_ports = [443]
		}
	`, `
		src=192.0.2.66 tcp port=443                    unprotected
	`},
	{"a deny precedes every accept, and its action applies", `
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
	{"an accept with a condition on the container has no effect in INPUT", `
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
	{"a deny with a published port ignores its conditions on the container", `
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
	{"a deny with conditions on the container alone has no effect in INPUT", `
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
	{"a family in which no packet would be dropped has no protection", `
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
		src=2001:db8::66 tcp port=443                  unprotected
	`},
	{"conditions on the packet itself apply as on the forward path", `
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
	{"container_interfaces and egress have no effect in INPUT", `
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
	testTables(t, protectionTables, inputVerdict)
}

// The protection returns or drops, never accepts, so that the host's own INPUT rules still
// see every packet that it lets pass.
func TestInputProtectionHasNoAcceptVerdict(t *testing.T) {
	for _, table := range slices.Concat(packetTables, protectionTables) {
		for _, p := range table.compile(t).Programs {
			for _, c := range p.Chains {
				protection := c.Name == ir.InputChain || c.Name == ir.ProxyChain
				for _, r := range c.Rules {
					if _, accepts := r.Verdict.(iptables.Accept); protection && accepts {
						t.Errorf("%s: chain %s accepts in rule %q", table.name, c.Name, r.ID.Comment())
					}
				}
			}
		}
	}
}

// Overlapping and adjacent port ranges become one jump.
func TestProtectedPortRangesAreMerged(t *testing.T) {
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

func TestWarningsAboutDeniesWithoutEffectInInput(t *testing.T) {
	for _, c := range []struct {
		name, rule string
		want       int
	}{
		{"a container port", `protocol = "tcp"` + "\n" + `container_ports = [80]`, 1},
		{"a bridge", `out_interfaces = ["br-+"]`, 1},
		{"all but one container", `destination_not = ["172.17.0.2"]`, 1},
		{"a container port with a published port", `protocol = "tcp"` + "\n" + `container_ports = [80]` + "\n" + `published_ports = [80]`, 0},
		{"a protocol without protected ports", `protocol = "udp"` + "\n" + `container_ports = [53]`, 0},
		{"pings", `icmp_types = ["echo-request"]` + "\n" + `out_interfaces = ["br-+"]`, 0},
		{"sources", `source = ["192.0.2.1"]`, 0},
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
		t.Errorf("a host without protected ports: %v", diags)
	}
}
