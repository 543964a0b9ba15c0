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
	// maxSteps is the number of rules on all paths from a built-in chain, unless half as many are
	// there without folding; the kernel checks some ten million in a second.
	maxSteps = 1_000_000
	// countedSteps is where counting ends: nothing with so many is ever loaded.
	countedSteps = 1 << 40
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
	w := f.walk(f.chains, rest)
	// Forwarded packets get to the chain from FORWARD, or from the chain of Docker that FORWARD
	// leads to; packets to the host from INPUT.
	before := 1
	if f.in.Install == ir.InstallJump {
		before = 2
	}
	forward, input := w.from(f.in.ChainOf(ir.ScopeForward)), w.from(f.in.ChainOf(ir.ScopeInput))
	return before+forward.levels <= maxLevels && 1+input.levels <= maxLevels &&
		forward.steps <= max(maxSteps, 2*f.unfolded[ir.ScopeForward]) && input.steps <= max(maxSteps, 2*f.unfolded[ir.ScopeInput])
}

// countUnfolded counts the steps without folding. The jumps to many protected ports alone may make
// them more than maxSteps.
func (f *ruleFolder) countUnfolded() {
	w := f.walk(nil, nil)
	f.unfolded = map[ir.Scope]int{}
	for _, s := range []ir.Scope{ir.ScopeForward, ir.ScopeInput} {
		f.unfolded[s] = w.from(f.in.ChainOf(s)).steps
	}
}

func (f *ruleFolder) walk(chains []*plannedChain, rest []*ir.Rule) *pathWalk {
	w := &pathWalk{ruleFolder: f, chains: map[string]*plannedChain{}, rest: rest, known: map[string]paths{}, later: map[string][]*ir.Rule{}}
	for _, c := range chains {
		w.chains[c.name] = c
	}
	for s := ir.ScopeForward; s <= ir.LastScope; s++ {
		w.later[f.in.ChainOf(s)] = f.program.Scope(s)
	}
	return w
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
		// One rule of the IR may lead there for each of many ports or interfaces.
		counted := *r
		if counted.Verdict == nil { // that of a plannedRule with to
			counted.Verdict = ir.Drop{}
		}
		n := w.lines([]*ir.Rule{&counted})
		if to == "" {
			out.steps += n
			return
		}
		next := w.from(to)
		out.levels = max(out.levels, 1+next.levels)
		out.steps = min(out.steps+n*(1+next.steps), countedSteps)
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
