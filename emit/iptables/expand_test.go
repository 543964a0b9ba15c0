package iptables

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/budget"
)

// Rules are counted before they are made: for the budget, and to decide what to fold.
func TestSizeIsTheNumberOfRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(what string) int { return rapid.IntRange(0, 2).Draw(t, what) }
		yes := func(what string) bool { return rapid.Bool().Draw(t, what) }
		r := &ir.Rule{
			Phase:              rapid.SampledFrom([]ir.Phase{ir.PhaseDeny, ir.PhaseAccept, ir.PhaseDefault}).Draw(t, "phase"),
			Verdict:            rapid.SampledFrom([]ir.Verdict{ir.Accept{}, ir.Drop{}, ir.Reject{}}).Draw(t, "verdict"),
			Protocols:          make([]uint8, some("protocols")),
			PublishedAddresses: make([]netip.Addr, some("published addresses")),
			PublishedPorts:     make([]ir.PortRange, some("published ports")),
			DestinationPorts:   make([]ir.PortRange, some("destination ports")),
			SourcePorts:        make([]ir.PortRange, some("source ports")),
			ICMP:               make([]ir.ICMP, some("ICMP types")),
			In:                 make([]string, some("interfaces")),
			Out:                make([]string, some("out-interfaces")),
			SessionsRechecked:  yes("recheck"),
		}
		if yes("connections") {
			r.Connections = &ir.Connections{Max: 1}
		}
		if yes("log") {
			r.Log = &ir.Log{Limit: ir.Frequency{Count: 1, Seconds: 1}}
		}
		e := &expansion{Rule: r, family: ir.IPv4, source: foldedEnd{in: operands{sets: make([]string, some("sources"))}}, destination: foldedEnd{in: operands{prefixes: make([]netip.Prefix, some("destinations"))}}}
		if made := len(e.rules()); made != e.size() {
			t.Errorf("%d rules are made, %d counted", made, e.size())
		}
	})
}

func TestSizeEndsAboveTheBudget(t *testing.T) {
	many := make([]ir.PortRange, 1<<16)
	r := &ir.Rule{Verdict: ir.Drop{}, PublishedPorts: many, DestinationPorts: many, SourcePorts: many, In: make([]string, 1<<16)}
	if n := sizeOf(r, 1<<16, 1<<16); n <= budget.MaxRules {
		t.Errorf("got %d", n)
	}
}
