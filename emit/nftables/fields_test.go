package nftables

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// fieldSamples set each field of a TCP accept rule to a value that changes the printed table.
var fieldSamples = map[string]func(*ir.Rule){
	"Scope":              func(r *ir.Rule) { r.Scope = ir.ScopeEgress },
	"Phase":              func(r *ir.Rule) { r.Phase = ir.PhaseDeny },
	"Origin":             func(r *ir.Rule) { r.Origin.Name = "other" },
	"In":                 func(r *ir.Rule) { r.In = []string{"eth0"} },
	"Out":                func(r *ir.Rule) { r.Out = []string{"br-+"} },
	"Source":             func(r *ir.Rule) { r.Source.In.Prefixes = []netip.Prefix{prefix("192.0.2.0/24")} },
	"Destination":        func(r *ir.Rule) { r.Destination.NotIn.Sets = []*ir.Set{{Name: "set", Family: ir.IPv4}} },
	"Protocols":          func(r *ir.Rule) { r.Protocols = []uint8{6, 17} },
	"SourcePorts":        func(r *ir.Rule) { r.SourcePorts = []ir.PortRange{{First: 1, Last: 2}} },
	"DestinationPorts":   func(r *ir.Rule) { r.DestinationPorts = []ir.PortRange{{First: 1, Last: 2}} },
	"PublishedPorts":     func(r *ir.Rule) { r.PublishedPorts = []ir.PortRange{{First: 1, Last: 2}} },
	"PublishedAddresses": func(r *ir.Rule) { r.PublishedAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.1")} },
	"ICMP":               func(r *ir.Rule) { r.ICMP = []ir.ICMP{{Type: 8, Code: -1}} },
	"States":             func(r *ir.Rule) { r.States = ir.CTNew },
	"Direction":          func(r *ir.Rule) { r.Direction = ir.CTReply },
	"Until":              func(r *ir.Rule) { r.Until = time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC) },
	"Rate":               func(r *ir.Rule) { r.Rate = &ir.Rate{Frequency: ir.Frequency{Count: 1, Seconds: 1}, Burst: 5} },
	"Connections":        func(r *ir.Rule) { r.Connections = &ir.Connections{Max: 3, PrefixLength: 32} },
	"Log":                func(r *ir.Rule) { r.Log = &ir.Log{Prefix: "x", Limit: ir.Frequency{Count: 1, Seconds: 60}} },
	"Name":               func(r *ir.Rule) { r.Name = "other" },
	"SessionsRechecked":  func(r *ir.Rule) { r.SessionsRechecked = true },
	"Verdict":            func(r *ir.Rule) { r.Verdict = ir.Drop{} },
}

// fieldContexts prepare the rule for fields that have no effect alone.
var fieldContexts = map[string]func(*ir.Rule){
	"Name":              func(r *ir.Rule) { r.Connections = &ir.Connections{Max: 3, PrefixLength: 32} },
	"SessionsRechecked": func(r *ir.Rule) { r.Connections = &ir.Connections{Max: 3, PrefixLength: 32} },
}

func TestEveryFieldOfARuleIsLegalized(t *testing.T) {
	for i := range reflect.TypeFor[ir.Rule]().NumField() {
		field := reflect.TypeFor[ir.Rule]().Field(i).Name
		if field == "Place" {
			continue // TestRulesOfBothFamiliesKeepTheirOrder
		}
		set := fieldSamples[field]
		if set == nil {
			t.Errorf("field %s of ir.Rule: no sample in fieldSamples; its legalization is not tested", field)
			continue
		}
		print := func(change func(*ir.Rule)) string {
			r := &ir.Rule{Phase: ir.PhaseAccept, Origin: ir.Origin{Block: "accept", Name: "web"}, Name: "web", Protocols: []uint8{6}, Verdict: ir.Accept{}}
			if context := fieldContexts[field]; context != nil {
				context(r)
			}
			change(r)
			return string(Table(legal(t, ruleset(r)), ""))
		}
		if without, with := print(func(*ir.Rule) {}), print(set); with == without {
			t.Errorf("field %s of ir.Rule has no effect on the text:\n%s", field, with)
		}
	}
}

// ruleset returns a ruleset with IPv4 rules.
func ruleset(rules ...*ir.Rule) *ir.Ruleset {
	return &ir.Ruleset{
		Target:   ir.TargetNFTables,
		Sets:     []*ir.Set{{Name: "set", Family: ir.IPv4, Type: ir.HashNet, Managed: true, Prefixes: ir.PrefixesOf(prefix("198.51.100.0/24"))}},
		Programs: []*ir.Program{{Family: ir.IPv4, Rules: rules}},
	}
}

func legal(t *testing.T, rs *ir.Ruleset) *Tables {
	t.Helper()
	tables, diags := Legalize(rs)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return tables
}
