package plan_test

import (
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// A host is closed and opened again: the chain of the input block comes and goes in the filter
// table, and only there.
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
			if has := h.Rules[f].Table("filter").Chain(ir.HostChain) != nil; has != (v == closed) {
				t.Errorf("IPv%d: the chain of the input block is there: %t", f, has)
			}
			if h.Rules[f].Table("security").Chain(ir.HostChain) != nil {
				t.Errorf("IPv%d: the chain of the input block is in the security table", f)
			}
		}
	}
}
