package diff

import (
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// ahead notes what is still ahead of the policy's rules on a host after loading them, and
// lets through what they refuse.
func (c *comparison) ahead(f ir.Family, loaded *snapshot.Host) (err error) {
	defer packet.Catch(&err)
	chain := loaded.Target
	if loaded.Install == ir.Jump {
		chain = snapshot.OwnPrefix
	}
	t := loaded.Filter(f)
	if t.Chain(chain) == nil || !snapshot.Declared(t.Chain("FORWARD")) {
		return nil
	}
	route, err := loaded.RouteTo(f, snapshot.Forward, chain, true)
	if err != nil {
		return fmt.Errorf("the %s rules of %s cannot be followed: %w", snapshot.FamilyText(f), loaded.Name, err)
	}
	space, err := packet.New(route, loaded.Program(f, chain), snapshot.ContainerPackets(f, loaded, loaded))
	if err != nil {
		return fmt.Errorf("the %s rules of %s cannot be followed: %w", snapshot.FamilyText(f), loaded.Name, err)
	}
	both := space.Programs()
	leak := snapshot.Bypassing(both[0]).And(snapshot.Refused(both[1])).Diff(snapshot.Refused(both[2]))
	if leak.IsEmpty() {
		return nil
	}
	witness, _ := leak.Witness()
	at := snapshot.AdmittingRule(both[0], witness)
	if at.Policy || at.Chain == "" {
		c.note("some %s packets that the policy refuses never reach its rules, for example %s", snapshot.FamilyText(f), witness)
		return nil
	}
	rule := t.Chain(at.Chain).Rules[at.Rule]
	c.note("a rule ahead of the policy's lets through what the policy refuses: -A %s %s (%s), for example %s. The fallback rules that apply.sh puts into the security table drop it all the same",
		at.Chain, rule.Canonical(iptables.Family(f)), snapshot.PlaceText(rule.Range), witness)
	return nil
}
