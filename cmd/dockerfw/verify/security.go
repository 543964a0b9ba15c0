package verify

import (
	"os"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// appliedState is where apply.sh keeps the state of a host.
var appliedState = "/var/lib/dockerfw"

// security checks the fallback rules that apply.sh puts into the security table: that they
// exist where it has run, and that the table refuses nothing that the rules admit. Fallback
// rules of another version would, and nothing in the filter table would show why.
func security(h *hosts) (result, error) {
	const (
		none   = "no fallback rules in the security table; apply.sh adds them"
		noJump = "FORWARD of the security table does not jump to its chain %s. Run apply.sh, which adds the jump"
	)
	exist := h.have.Rules[h.family].Table("security").Chain(identity.OwnPrefix) != nil
	var hooks []packet.Hook
	for _, hook := range h.have.Hooks(h.family, snapshot.Forward) {
		if hook.Table == "security" {
			hooks = append(hooks, hook)
		}
	}
	switch {
	case !exist && len(hooks) == 0:
		if _, err := os.Stat(appliedState); err == nil && live(h) {
			return failed("the fallback rules are missing. Run apply.sh, which adds them")
		}
		return nothing(none)
	case len(hooks) == 0:
		return failed(noJump, identity.OwnPrefix)
	}
	route, err := packet.Route(h.family, false, hooks)
	if err != nil {
		return result{}, err
	}
	space, err := packet.New(route, h.filled.Program(h.family, h.want.EntryChain()))
	if err != nil {
		return result{}, err
	}
	table, ours := space.Programs()[0], space.Programs()[1]
	refused := snapshot.Refused(table)
	if more := refused.Diff(snapshot.Refused(ours)); !more.IsEmpty() {
		witness, _ := more.Witness()
		at := route.Rule(table.Decide(witness).At).At
		advice := "It is a foreign rule; delete it if it should not be there"
		if r := h.have.RuleAt(h.family, at); r != nil && identity.Ours(r) {
			advice = "The fallback rules are of another version. Run apply.sh, which replaces them"
		}
		return failed("%s drops packets that the rules admit, such as %s. %s", h.have.RuleText(h.family, at), witness, advice)
	}
	switch {
	case !exist:
		return nothing(none)
	case refused.IsEmpty() && !snapshot.Refused(ours).IsEmpty():
		return failed(noJump, identity.OwnPrefix)
	}
	return ok("the fallback rules exist, and the security table refuses nothing else")
}
