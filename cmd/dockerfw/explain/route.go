package explain

import (
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// route sets the chains that a packet passes on a path: all chains of a host, or the chain that
// dockerfw compiles. If only a part of a host's rules was saved, it is the chain that is
// there, with a note about what is missing.
func (e *explainer) route(path snapshot.Path, chain string) error {
	t := e.state.Filter(e.family)
	if chain != "" {
		if !e.state.HasChain(e.family, chain) {
			return fmt.Errorf("%s has no %s chain %s%s", e.state.Name, words.Family(e.family), chain, e.chainList())
		}
		e.from(chain)
		if c := t.Chain(chain); c == nil || c.Policy == "" {
			e.note("evaluation starts at chain %s: the rules before it and after it are not considered", chain)
		}
		return nil
	}
	if e.state.Kind.Compiled() {
		e.from(e.compiledStart(path))
		return nil
	}
	ours := ir.InputChain
	if path == snapshot.Forward {
		ours = "DOCKER-USER"
	}
	hook := path.FilterChain()
	c := t.Chain(hook)
	missing := ""
	switch {
	case e.state.Kind == snapshot.Live:
		// A live host has no tables or chains beyond those read.
	case e.state.NFTables() && t == nil:
		// What nft list ruleset prints has Docker's rules too, except those in tables of iptables.
		if !e.state.Docker(e.family).Native {
			e.hooks = e.state.TableHooks(e.family, path)
			e.note("%s has none of Docker's rules: evaluation ends with %s", e.state.Name, snapshot.TableTitle)
			return nil
		}
	case t == nil:
		return fmt.Errorf("%s contains no %s filter table, so it has no verdict for this packet. Save all tables with %s-save", e.state.Name, words.Family(e.family), snapshot.IPTables(e.family))
	case !snapshot.Declared(c):
		missing = fmt.Sprintf("%s does not declare chain %s", e.state.Name, hook)
	case len(c.Rules) == 0 && t.Chain(ours) != nil && len(t.Chain(ours).Rules) > 0:
		missing = fmt.Sprintf("chain %s of %s is empty (Docker adds its jumps when it starts)", hook, e.state.Name)
	}
	if missing != "" {
		if t.Chain(ours) == nil {
			return fmt.Errorf("%s, and there is no chain %s to start at instead. Choose one with --chain%s", missing, ours, e.chainList())
		}
		e.note("%s: evaluation starts at chain %s. Choose another one with --chain", missing, ours)
		e.from(ours)
		return nil
	}
	e.hooks = e.state.Hooks(e.family, path)
	e.whole = true
	if user := t.Chain(ours); user != nil && len(user.Rules) > 0 && !snapshot.Reaches(t, hook, ours) {
		e.note("no rule in %s leads to chain %s, so its %s have no effect; --chain %[2]s evaluates them anyway", hook, ours, words.Count(len(user.Rules), "rule"))
	}
	return nil
}

// compiledStart is the first chain of the rules that dockerfw compiles for a path.
func (e *explainer) compiledStart(path snapshot.Path) string {
	if path == snapshot.Forward && !e.state.NFTables() {
		return e.state.Target
	}
	return e.state.OwnChain(path)
}

// notEvaluated notes what else on the host may drop the packet.
func (e *explainer) notEvaluated() {
	for _, chain := range e.state.UnsupportedChains(e.family) {
		e.note("nft %s is not evaluated, and may drop the packet too", chain)
	}
	if e.state.Kind == snapshot.Live && e.state.NFTUnread != "" {
		e.note("nft tables besides those of iptables are not evaluated: %s", e.state.NFTUnread)
	}
}

// from evaluates the rules of the filter table, or of the table of dockerfw, from a chain on.
func (e *explainer) from(chain string) {
	e.hooks = []packet.Hook{{Table: "filter", Chain: chain, Program: e.state.Program(e.family, chain)}}
}

// chainList lists the chains that have rules, for messages.
func (e *explainer) chainList() string {
	var names []string
	if t := e.state.Filter(e.family); t != nil {
		for _, c := range t.Chains {
			if len(c.Rules) > 0 {
				names = append(names, c.Name)
			}
		}
	}
	if t := e.state.Table(); t != nil {
		for _, c := range t.Chains {
			if len(c.Rules) > 0 {
				names = append(names, c.Name)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	const shown = 8
	return " (" + words.List(names, shown) + ")"
}
