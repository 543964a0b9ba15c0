package plan_test

import (
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// A host is closed and opened again: the chain of the input block comes and goes in the filter
// table, and with the fallback rules in the security table.
func TestAnInputBlockIsLoadedAndRemoved(t *testing.T) {
	const policy = `
host { external_interfaces = ["eth0"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
`
	without := compile(t, policy)
	closed := compile(t, policy+`
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}
`)
	m := &machine{Host: newHost(t, dockers, "")}
	h := m.Host
	for _, v := range []*plan.Version{closed, without, closed, closed} {
		m.load(t, v)
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			for _, table := range []string{"filter", "security"} {
				if has := h.Rules[f].Table(table).Chain(ir.HostChain) != nil; has != (v == closed) {
					t.Errorf("IPv%d: the chain of the input block is in table %s: %t", f, table, has)
				}
			}
		}
	}
}

// Folders that an earlier version compiled have fallback rules for FORWARD only. They are loaded as
// they are, and replaced by what a later version compiles.
func TestFallbackRulesForForwardOnly(t *testing.T) {
	const policy = `
host { external_interfaces = ["eth0"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
default { allow = [ipset.clients] }
`
	now, earlier := compile(t, policy), compile(t, policy)
	for _, r := range earlier.Rules {
		r.Security.Commands = slices.DeleteFunc(slices.Clone(r.Security.Commands), func(c *iptables.Command) bool {
			return c.Chain != ir.OwnChain
		})
	}
	m := &machine{Host: newHost(t, dockers, "")}
	for _, v := range []*plan.Version{earlier, now, earlier} {
		m.load(t, v)
		if p := m.make(t, v); !p.Differences.Empty() {
			t.Errorf("a second load does\n%s", text(p))
		}
		for _, f := range families {
			security := m.Rules[f].Table("security")
			chain, jumps := security.Chain(ir.InputChain) != nil, len(security.Chain("INPUT").Rules)
			if want := v == now; chain != want || jumps == 1 != want {
				t.Errorf("IPv%d: the fallback rules for INPUT are there: %t, with %d jumps", f, chain, jumps)
			}
		}
		closed, err := plan.Closed(v)
		if err != nil {
			t.Fatal(err)
		}
		m.load(t, closed)
	}
}
