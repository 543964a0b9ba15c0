package verify

import (
	"fmt"
	"os"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// appliedState is where apply.sh keeps what it knows of a host.
var appliedState = "/var/lib/dockerfw"

// fallback checks the fallback rules, which apply.sh puts into the security table: that
// they are there where it has run, and that the table refuses nothing that the rules let
// through. Rules left from another version would, and nothing in the filter table would
// tell why.
func (c *checker) fallback(f ir.Family) (err error) {
	defer packet.Catch(&err)
	name := snapshot.FamilyText(f) + " security"
	t := c.have.Rules[f].Table("security")
	there := t.Chain(snapshot.OwnPrefix) != nil
	var hooks []packet.Hook
	for _, h := range c.have.Hooks(f, snapshot.Forward) {
		if h.Table == "security" {
			hooks = append(hooks, h)
		}
	}
	if !there && len(hooks) == 0 {
		if _, err := os.Stat(appliedState); err == nil && c.have.Kind == snapshot.Live {
			c.fail(name, "the fallback rules are missing. Run apply.sh: it puts them there")
		} else {
			c.nothing(name, "no fallback rules in the security table; apply.sh puts them there")
		}
		return nil
	}
	if len(hooks) == 0 {
		c.fail(name, "FORWARD of the security table does not lead to its chain %s. Run apply.sh: it makes the jump", snapshot.OwnPrefix)
		return nil
	}
	route, err := packet.Route(f, false, hooks)
	if err != nil {
		return fmt.Errorf("the %s rules of the security table cannot be followed: %w", snapshot.FamilyText(f), err)
	}
	space, err := packet.New(route, c.filled.Program(f, c.entry(f)))
	if err != nil {
		return fmt.Errorf("the %s rules of the security table cannot be followed: %w", snapshot.FamilyText(f), err)
	}
	both := space.Programs()
	r := reach{checker: c, family: f, name: name, space: space}
	ours, refused := snapshot.Refused(both[1]), snapshot.Refused(both[0])
	switch left := refused.Diff(ours); {
	case !left.IsEmpty():
		witness, _ := left.Witness()
		at := route.Rule(both[0].Decide(witness).At).At
		next := "that is not dockerfw's; delete it if it should not be there"
		if !at.Policy && snapshot.Ours(t.Chain(at.Chain).Rules[at.Rule]) {
			next = "the rules there are of another version. Run apply.sh: it renews them"
		}
		c.fail(name, "%s drops what the rules let through, such as %s: %s", r.text(at), witness, next)
	case !there:
		c.nothing(name, "no fallback rules in the security table; apply.sh puts them there")
	case refused.IsEmpty() && !ours.IsEmpty():
		c.fail(name, "FORWARD of the security table does not lead to its chain %s. Run apply.sh: it makes the jump", snapshot.OwnPrefix)
	default:
		c.ok(name, "the fallback rules are there, and refuse nothing else")
	}
	return nil
}
