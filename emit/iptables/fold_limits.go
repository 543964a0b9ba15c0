package iptables

import (
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// The kernel checks nf_tables chains at each load: it follows every path of jumps, and -g is
// one. It refuses more levels than 16 with EMLINK ("Too many links"), the base chain included,
// and the time it takes grows with the number of paths (docs/contributing/netfilter.md, "Chains
// that lead to each other").
const (
	// maxLevels leaves two levels for chains of other programs ahead of ours.
	maxLevels = 14
	// maxSteps is the number of rules on all paths; the kernel checks some ten million in a second.
	maxSteps = 200_000
)

// restorePoint is the state of the chains before a step.
type restorePoint struct {
	chains []*plannedChain
	chain  *plannedChain
	rules  int // in chain
	folds  int
}

func (f *ruleFolder) mark() restorePoint {
	return restorePoint{slices.Clone(f.chains), f.chain, len(f.chain.rules), f.folds}
}

// undo removes all chains and rules since a mark.
func (f *ruleFolder) undo(p restorePoint) {
	f.chains, f.chain, f.folds = p.chains, p.chain, p.folds
	f.chain.rules = f.chain.rules[:p.rules]
}

// loadable reports whether the kernel accepts the chains so far, with the rules of the scope that
// still have to be added to the last one, and the scopes that still have to be planned.
func (f *ruleFolder) loadable(rest []*ir.Rule) bool {
	w := pathWalk{ruleFolder: f, chains: map[string]*plannedChain{}, rest: rest, known: map[string]paths{}, later: map[string][]*ir.Rule{}}
	for _, c := range f.chains {
		w.chains[c.name] = c
	}
	for s := ir.ScopeForward; s <= ir.LastScope; s++ {
		w.later[f.in.ChainOf(s)] = f.program.Scope(s)
	}
	// Forwarded packets get to the chain from FORWARD, or from the chain of Docker that FORWARD
	// leads to; packets to the host from INPUT.
	before := 1
	if f.in.Install == ir.InstallJump {
		before = 2
	}
	forward, input := w.from(f.in.ChainOf(ir.ScopeForward)), w.from(f.in.ChainOf(ir.ScopeInput))
	return before+forward.levels <= maxLevels && 1+input.levels <= maxLevels && forward.steps+input.steps <= maxSteps
}

// paths describes the paths that begin in a chain: the levels of the longest, and the rules on all
// of them.
type paths struct{ levels, steps int }

type pathWalk struct {
	*ruleFolder
	chains map[string]*plannedChain
	// rest are the rules that follow in the last chain, and later those of chains that do not
	// exist yet.
	rest  []*ir.Rule
	later map[string][]*ir.Rule
	known map[string]paths
}

func (w *pathWalk) from(name string) paths {
	if p, ok := w.known[name]; ok {
		return p
	}
	out := paths{levels: 1}
	follow := func(r *ir.Rule, to string) {
		if jump, ok := r.Verdict.(ir.Jump); ok {
			to = w.in.ChainOf(jump.To)
		}
		if to == "" {
			out.steps += w.lines([]*ir.Rule{r})
			return
		}
		next := w.from(to)
		out.levels = max(out.levels, 1+next.levels)
		out.steps += 1 + next.steps
	}
	c, planned := w.chains[name]
	if !planned {
		for _, r := range w.later[name] {
			follow(r, "")
		}
	} else {
		for _, r := range c.rules {
			follow(r.Rule, r.to)
		}
		if c == w.chain {
			for _, r := range w.rest {
				follow(r, "")
			}
		}
	}
	w.known[name] = out
	return out
}
