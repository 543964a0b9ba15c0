package iptables

import (
	"cmp"
	"maps"
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

// restorePoint is the state of a folder before a step.
type restorePoint struct {
	folder ruleFolder
	rules  int // in the chain
	sets   int
}

func (f *ruleFolder) mark() restorePoint {
	p := restorePoint{*f, len(f.chain.rules), len(f.out.Sets)}
	p.folder.chains = slices.Clone(f.chains)
	p.folder.labels, p.folder.merges, p.folder.named, p.folder.contents = maps.Clone(f.labels), maps.Clone(f.merges), maps.Clone(f.named), maps.Clone(f.contents)
	return p
}

// undo removes all chains, rules and sets since a mark.
func (f *ruleFolder) undo(p restorePoint) {
	*f = p.folder
	f.chain.rules, f.out.Sets = f.chain.rules[:p.rules], f.out.Sets[:p.sets]
	*f = f.mark().folder // so that p can be used again
}

// choice is how the rules of a scope are folded.
type choice struct {
	// callsDenies: chains of denies are called with -j. Packets that no rule matches return from
	// there, so that folded denies do not make paths longer one after the other. The fallback rules
	// accept by RETURN, which would return no further: accepts cannot be called.
	callsDenies bool
	// runs are the runs to fold, by their first rules; nil for all.
	runs map[*ir.Rule]bool
}

// maxTried is the number of runs, the largest first, that are tried if not all can be folded.
const maxTried = 16

// foldMost adds the rules of a scope so that few of them stay to be met one by one: with all runs
// folded, or else with calls of denies, or else with the largest runs.
func (f *ruleFolder) foldMost(rules []*ir.Rule) {
	f.linear = 0
	start := f.mark()
	try := func(c choice) int {
		f.undo(start)
		f.choice = c
		f.fold(rules)
		return f.linear
	}
	var best choice
	least := try(best)
	if least == 0 {
		return
	}
	consider := func(c choice) int {
		n := try(c)
		if n < least {
			best, least = c, n
		}
		return n
	}
	if consider(choice{callsDenies: true}) > 0 {
		chosen := choice{callsDenies: true, runs: map[*ir.Rule]bool{}}
		linear := try(chosen)
		for _, run := range f.largest(rules) {
			with := choice{callsDenies: true, runs: maps.Clone(chosen.runs)}
			with.runs[run[0]] = true
			if n := consider(with); n < linear {
				chosen, linear = with, n
			}
		}
	}
	try(best)
}

// fold adds the rules of a scope.
func (f *ruleFolder) fold(rules []*ir.Rule) {
	for len(rules) > 0 {
		n := runLength(rules)
		f.run(rules[:n], rules[n:])
		rules = rules[n:]
	}
}

// largest returns the largest runs that can be folded, the largest first.
func (f *ruleFolder) largest(rules []*ir.Rule) [][]*ir.Rule {
	type run struct {
		rules []*ir.Rule
		lines int
	}
	var runs []run
	for len(rules) > 0 {
		n := runLength(rules)
		if one := (run{rules[:n], lines(rules[:n]...)}); canFold(rules[0]) && one.lines > f.foldAbove() {
			runs = append(runs, one)
		}
		rules = rules[n:]
	}
	slices.SortStableFunc(runs, func(a, b run) int { return b.lines - a.lines })
	var out [][]*ir.Rule
	for _, r := range runs[:min(len(runs), maxTried)] {
		out = append(out, r.rules)
	}
	return out
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
	most := cmp.Or(f.options.MaxLevels, maxLevels)
	return before+forward.levels <= most && 1+input.levels <= most &&
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
		n := lines(r)
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
