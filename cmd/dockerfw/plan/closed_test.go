package plan_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
)

// passes reports whether a packet is let through by the filter table and the security table.
func passes(h *plan.Host, f ir.Family, chain string, p packet.Packet) bool {
	for _, table := range []string{"filter", "security"} {
		prog := program(h, f, table, chain, netfilter.NewSets(h.Sets, nil))
		prog.ToHost = chain == "INPUT"
		if v := prog.Decide(p).Verdict.Kind; v == packet.Drop || v == packet.Reject {
			return false
		}
	}
	return true
}

func TestClosed(t *testing.T) {
	all := []named{{"an unreadable folder", nil}}
	compiled := versions(t)
	all = append(all, compiled[:len(compiled)-1]...)
	for _, v := range all {
		closed, err := plan.Closed(v.Version)
		if err != nil {
			t.Fatal(err)
		}
		if len(closed.Sets.Names())+len(closed.Unmanaged.Names()) > 0 {
			t.Errorf("%s: the closed version needs sets", v.name)
		}
		for _, start := range []string{dockers, "", "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j ACCEPT\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"} {
			m := &machine{Host: newHost(t, start, "")}
			m.load(t, closed)
			for _, f := range families {
				client, container := netip.MustParseAddr("192.0.2.10"), packet.UsualContainer(f)
				if f == ir.IPv6 {
					client = netip.MustParseAddr("2001:db8::10")
				}
				in := packet.Packet{Source: client, Destination: container, Protocol: packet.ProtoTCP, SourcePort: 40000, DestinationPort: 80, In: "eth0", Out: "docker0", State: ir.CTNew, Direction: ir.CTOriginal}
				out := packet.Packet{Source: container, Destination: client, Protocol: packet.ProtoTCP, SourcePort: 40000, DestinationPort: 80, In: "docker0", Out: "eth0", State: ir.CTNew, Direction: ir.CTOriginal}
				answer := in
				answer.State, answer.Direction = ir.CTEstablished, ir.CTReply
				if passes(m.Host, f, "FORWARD", in) {
					t.Errorf("%s: a client reaches a container over %v", v.name, f)
				}
				if start == dockers && (!passes(m.Host, f, "FORWARD", out) || !passes(m.Host, f, "FORWARD", answer)) {
					t.Errorf("%s: a container cannot open a connection over %v", v.name, f)
				}
				// The policy protects port 443 of docker-proxy, in the families that it has.
				host := in
				host.Destination, host.DestinationPort, host.Out = client, 443, ""
				if protects := slices.Contains([]string{"clients", "a jump", "other clients, rechecked", "a closed host"}, v.name); protects == passes(m.Host, f, "INPUT", host) {
					t.Errorf("%s: port 443 of docker-proxy over %v: %v", v.name, f, !protects)
				}
			}
			want := v.Version
			if want == nil {
				want = version(t, "clients")
			}
			names := setNames(want)
			if err := complete(t, m, want, names, true); err != nil {
				t.Errorf("%s, then the policy: %v", v.name, err)
			}
			m.load(t, want)
			if err := complete(t, m, closed, names, true); err != nil {
				t.Errorf("%s, closed again: %v", v.name, err)
			}
		}
	}
}

// DOCKER-USER, foreign rules in it, and the jump to it stay when dockerfw is removed.
func TestRemoval(t *testing.T) {
	m := &machine{Host: newHost(t, others, sets+"create legacy hash:ip family inet\n"), made: []string{"legacy"}}
	load(t, m.Other, old)
	before := foreign(m.Host, map[string]bool{"legacy": true})
	jump := version(t, "a jump")
	m.load(t, jump)
	m.load(t, nothing())
	for _, f := range families {
		if len(jumps(m.Host, f)) != 1 || jumps(m.Host, f)[0].To != "DOCKER-USER" {
			t.Errorf("the jumps are %v", jumps(m.Host, f))
		}
	}
	if got := foreign(m.Host, map[string]bool{"legacy": true}); got != before {
		t.Errorf("foreign rules and sets are\n%s\nwant\n%s", got, before)
	}
	for _, set := range []string{"legacy", "clients", "clients-v6"} {
		if m.Sets.Set(set) != nil {
			t.Errorf("set %s is left over", set)
		}
	}
	if p := m.make(t, nothing()); !p.Differences.Empty() || len(p.Load)+len(p.Settle) > 0 {
		t.Errorf("the second removal does\n%s", text(p))
	}
}
