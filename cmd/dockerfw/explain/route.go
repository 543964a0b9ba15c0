package explain

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// route finds the chains that the packet of the question meets on a path: of a host all
// that it has, of what is compiled the chain that dockerfw fills. Where the rules that
// were read are only a part of a host's, it is the chain that is there, and a note says
// what is missing.
func (e *explainer) route(path snapshot.Path, chain string) error {
	t := e.state.Filter(e.family)
	if chain != "" {
		if t.Chain(chain) == nil {
			return fmt.Errorf("%s has no %s chain %s%s", e.state.Name, snapshot.FamilyText(e.family), chain, chainList(t))
		}
		e.from(chain)
		if policy := t.Chain(chain).Policy; policy == "" {
			e.note("asked from chain %s on: what is ahead of it on a host, and what comes after it, is not considered", chain)
		}
		return nil
	}
	ours := snapshot.InputChain
	if path == snapshot.Forward {
		ours = e.state.Target
	}
	if e.state.Kind.Compiled() {
		e.from(ours)
		return nil
	}
	if path == snapshot.Forward {
		ours = "DOCKER-USER"
	}
	hook := path.FilterChain()
	c := t.Chain(hook)
	missing := ""
	switch {
	case e.state.Kind == snapshot.Live:
		// What a live host does not have is not there.
	case t == nil:
		return fmt.Errorf("%s has no %s filter table: nothing in it decides this packet. Save all tables with %s-save", e.state.Name, snapshot.FamilyText(e.family), snapshot.IPTables(e.family))
	case !snapshot.Declared(c):
		missing = fmt.Sprintf("%s does not say what %s does", e.state.Name, hook)
	case len(c.Rules) == 0 && t.Chain(ours) != nil && len(t.Chain(ours).Rules) > 0:
		missing = fmt.Sprintf("%s of %s is empty (Docker adds its jumps when it starts)", hook, e.state.Name)
	}
	if missing != "" {
		if t.Chain(ours) == nil {
			return fmt.Errorf("%s, and has no chain %s to ask instead. Name one with --chain%s", missing, ours, chainList(t))
		}
		e.note("%s: asked from chain %s on. --chain names another chain", missing, ours)
		e.from(ours)
		return nil
	}
	e.hooks = e.state.Hooks(e.family, path)
	e.whole = true
	if user := t.Chain(ours); user != nil && len(user.Rules) > 0 && !snapshot.Reaches(t, hook, ours) {
		e.note("%s does not lead to %s, so its rules have no effect (%s of them; --chain %s asks them all the same)", hook, ours, fmt.Sprint(len(user.Rules)), ours)
	}
	return nil
}

// beside says what else of the host may drop the packet, and what is not known of that.
func (e *explainer) beside() {
	for _, chain := range e.state.UnsupportedChains(e.family) {
		e.note("nft %s may drop the packet too, and is not followed here", chain)
	}
	if e.state.Kind == snapshot.Live && e.state.NFTUnread != "" {
		e.note("tables of nft beside those of iptables are not considered: %s", e.state.NFTUnread)
	}
}

// from asks the rules of the filter table from a chain on.
func (e *explainer) from(chain string) {
	e.hooks = []packet.Hook{{Table: "filter", Chain: chain, Program: e.state.Program(e.family, chain)}}
}

// chainList names the chains of a table that have rules, for messages.
func chainList(t *iptables.Table) string {
	if t == nil {
		return ""
	}
	var names []string
	for _, c := range t.Chains {
		if len(c.Rules) > 0 {
			names = append(names, c.Name)
		}
	}
	const shown = 8
	switch {
	case len(names) == 0:
		return ""
	case len(names) > shown:
		return fmt.Sprintf(" (%s and %d more)", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return " (" + strings.Join(names, ", ") + ")"
}
