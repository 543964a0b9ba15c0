package diff

import (
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// dockersAnswer is a program that accepts the forwarded packets which Docker's own rules
// accept whatever the host publishes, and leaves all others open. For those, "accept" and
// "left to Docker's rules" are the same reach; docs/commands.md has the table:
//
//   - replies and other packets of open connections, whose first packet got its verdict;
//   - packets with DNAT from outside: Docker translates what it publishes, and accepts that;
//   - packets that leave a container's network for one that is not Docker's.
//
// Not accepted are packets to a container's own address or to unpublished ports, which
// Docker's rules drop, and packets between Docker's networks, which its isolation drops.
func (c *comparison) dockersAnswer(f ir.Family) *packet.Program {
	bridges := c.bridges(f)
	// An interface named like one of Docker's may be a container's network, so that its
	// packets do not count as from outside.
	like := slices.Concat(bridges, []string{"br-+"})
	fromContainer, sure, toContainer := packet.Any{}, packet.Any{}, packet.Any{}
	for _, name := range like {
		fromContainer = append(fromContainer, packet.Interface{End: packet.Source, Name: name})
		toContainer = append(toContainer, packet.Interface{End: packet.Destination, Name: name})
	}
	for _, name := range bridges {
		sure = append(sure, packet.Interface{End: packet.Source, Name: name})
	}
	accept := packet.Verdict{Kind: packet.Accept}
	return &packet.Program{
		Family: f,
		Chains: []*packet.Chain{{Name: "Docker", Rules: []*packet.Rule{
			{Matches: []packet.Cond{packet.State{States: ir.CTRelated | ir.CTEstablished}}, Verdict: accept},
			{Matches: []packet.Cond{packet.State{States: ir.CTDNAT}, packet.Not{C: fromContainer}}, Verdict: accept},
			{Matches: []packet.Cond{sure, packet.Not{C: toContainer}}, Verdict: accept},
			opening,
		}}},
	}
}

// hostsAnswer is dockersAnswer for packets to the host itself: what dockerfw's rules leave
// alone there is left to the host's own INPUT rules, which may drop it.
func hostsAnswer(f ir.Family) *packet.Program {
	return &packet.Program{Family: f, Chains: []*packet.Chain{{Name: "host", Rules: []*packet.Rule{opening}}}, ToHost: true}
}

// opening matches packets that open connections, and gives no verdict.
var opening = &packet.Rule{Matches: []packet.Cond{packet.State{States: ir.CTNew}}, Verdict: packet.Verdict{Kind: packet.Continue}}

// bridges are the interfaces of containers: docker0, those from which Docker's rules jump to
// its chain, and those that dockerfw's egress rules match.
func (c *comparison) bridges(f ir.Family) []string {
	out := []string{"docker0"}
	add := func(r *iptables.Rule, option string) {
		for _, o := range r.Base {
			if o.Name == option && !o.Not && !slices.Contains(out, o.Value()) {
				out = append(out, o.Value())
			}
		}
	}
	for _, s := range []*snapshot.Host{c.before, c.after} {
		for _, r := range s.RulesOnInterfaces(f) {
			if snapshot.IsChainOf(ir.ScopeEgress, r.Chain) {
				for _, name := range r.In {
					if !slices.Contains(out, name) {
						out = append(out, name)
					}
				}
			}
		}
		t := s.Filter(f)
		if t == nil {
			continue
		}
		for _, chain := range t.Chains {
			for _, r := range chain.Rules {
				switch {
				case r.Jump == "DOCKER":
					add(r, "-o")
				case chain.Name == identity.OwnPrefix+"-EGRESS":
					add(r, "-i")
				}
			}
		}
	}
	return out
}
