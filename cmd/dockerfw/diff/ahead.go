package diff

import (
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// ahead notes the jumps that loading moves, and a rule that, on a host with the policy loaded, is
// still ahead of the policy's rules and lets through what they refuse: the engine's own jumps to
// DOCKER stay where they are.
func (c *comparison) ahead(f ir.Family, loaded *snapshot.Host) (err error) {
	defer packet.Catch(&err)
	for _, p := range loaded.Placed {
		switch {
		case p.Family != f || p.Behind == "":
		case p.Undecided != nil:
			c.note("loading moves the jump to %s ahead of %s, which may let through what the policy refuses (%v)", p.To, p.Behind, p.Undecided)
		default:
			c.note("loading moves the jump to %s ahead of %s, which lets through what the policy refuses, for example %s", p.To, p.Behind, p.Example)
		}
	}
	if loaded.NFTables() {
		return nil // no rule of another table keeps packets from those of its base chains
	}
	chain := loaded.Target
	if loaded.Install == ir.InstallJump {
		chain = identity.OwnPrefix
	}
	t := loaded.Filter(f)
	if t.Chain(chain) == nil || !snapshot.Declared(t.Chain("FORWARD")) {
		return nil
	}
	route, err := loaded.RouteTo(f, snapshot.Forward, chain, false)
	if err != nil {
		return notFollowed(f, loaded, err)
	}
	aided, err := loaded.RouteTo(f, snapshot.Forward, chain, true)
	if err != nil {
		return notFollowed(f, loaded, err)
	}
	space, err := packet.New(route, loaded.Program(f, chain), snapshot.ContainerPackets(f, loaded, loaded), aided)
	if err != nil {
		return notFollowed(f, loaded, err)
	}
	programs := space.Programs()
	leak := snapshot.Bypassing(programs[0]).And(snapshot.Refused(programs[1])).Diff(snapshot.Refused(programs[2]))
	if leak.IsEmpty() {
		return nil
	}
	anyway := ". The fallback rules in the security table drop it anyway"
	if open := leak.And(snapshot.Bypassing(programs[3])); !open.IsEmpty() {
		leak, anyway = open, ""
	}
	witness, _ := leak.Witness()
	at := snapshot.AdmittingRule(programs[0], witness)
	if at.Policy || at.Chain == "" {
		c.note("some %s packets that the policy refuses never reach its rules, for example %s", words.Family(f), witness)
		return nil
	}
	rule := t.Chain(at.Chain).Rules[at.Rule]
	c.note("a rule ahead of the policy's rules lets through what the policy refuses: -A %s %s (%s), for example %s%s",
		at.Chain, rule.Canonical(iptables.Family(f)), snapshot.PlaceText(rule.Range), witness, anyway)
	return nil
}

func notFollowed(f ir.Family, s *snapshot.Host, err error) error {
	return fmt.Errorf("cannot follow the %s rules of %s: %w", words.Family(f), s.Name, err)
}
