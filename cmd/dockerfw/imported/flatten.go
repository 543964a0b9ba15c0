package imported

import (
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// flat is a rule of a chain without jumps: the first of them that matches decides.
type flat struct {
	conds []packet.Cond
	// not are conditions of which at least one does not hold, for each element: those of rules of a
	// user chain that returned before this one.
	not     []exception
	verdict packet.Verdict
	// rules are the rules that it was made of: jumps, and then the one that decides.
	rules []*iptables.Rule
	// limits are the matches of these rules that count.
	limits []*iptables.Match
	// log is a LOG rule before it with the same conditions.
	log *iptables.Rule
}

// exception is the conditions of a rule, not all of which hold, and the limit among them; nil for none.
type exception struct {
	conds []packet.Cond
	limit *iptables.Match
}

// limitsOf are the matches of a rule that count.
func limitsOf(r *iptables.Rule) []*iptables.Match {
	var out []*iptables.Match
	for i := range r.Matches {
		if counts[r.Matches[i].Name] {
			out = append(out, &r.Matches[i])
		}
	}
	return out
}

func exceptionOf(r *packet.Rule, line *iptables.Rule) exception {
	out := exception{conds: r.Matches}
	if limits := limitsOf(line); len(limits) == 1 {
		out.limit = limits[0]
	}
	return out
}

// origin is the rule that decides.
func (f *flat) origin() *iptables.Rule { return f.rules[len(f.rules)-1] }

// flattener follows the jumps of a program.
type flattener struct {
	table *iptables.Table
	prog  *packet.Program
	out   []*flat
	// logs are LOG rules, of which some belong to the rule that follows.
	logs []*flat
	// left are rules that are not followed, with the reason.
	left []left
}

// left is a rule that the policy does not have.
type left struct {
	rule *iptables.Rule
	why  string
}

// maxFlat limits the rules that a chain may become: chains that jump to each other many times would
// be billions.
const maxFlat = 20000

// flatten returns the rules that packets pass from a chain on.
func flatten(table *iptables.Table, program *packet.Program) (*flattener, error) {
	f := &flattener{table: table, prog: program}
	if len(program.Chains) == 0 {
		return f, nil
	}
	if !f.chain(program.Chains[0], nil, nil, nil, true) {
		return nil, fmt.Errorf("the chain %s and those that it jumps to amount to more than %d rules", program.Chains[0].Name, maxFlat)
	}
	return f, nil
}

func (f *flattener) named(name string) *packet.Chain {
	for _, c := range f.prog.Chains {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// chain adds the rules of a chain, for packets that match conds and get there; top if it is the first.
func (f *flattener) chain(c *packet.Chain, conds []packet.Cond, not []exception, path []*iptables.Rule, top bool) (ok bool) {
	// Full slice expressions below: several rules extend the same conditions.
	for _, r := range c.Rules {
		if len(f.out) > maxFlat {
			return false
		}
		line := f.table.Chain(r.At.Chain).Rules[r.At.Rule]
		all := append(conds[:len(conds):len(conds)], r.Matches...)
		one := &flat{conds: all, not: not, verdict: r.Verdict, rules: append(path[:len(path):len(path)], line)}
		for _, rule := range one.rules {
			one.limits = append(one.limits, limitsOf(rule)...)
		}
		switch r.Verdict.Kind {
		case packet.Continue:
			f.continuing(one)
		case packet.Jump, packet.Goto:
			to := f.named(r.Verdict.Chain)
			if !f.chain(to, all, not, one.rules, false) {
				return false
			}
			if r.Verdict.Kind == packet.Goto {
				if top {
					one.verdict = packet.Verdict{Kind: packet.Docker}
					f.add(one)
				} else {
					not = append(not[:len(not):len(not)], exceptionOf(r, line))
				}
			}
		case packet.Return:
			if top {
				one.verdict = packet.Verdict{Kind: packet.Docker}
				f.add(one)
				continue
			}
			not = append(not[:len(not):len(not)], exceptionOf(r, line))
		case packet.Docker, packet.Accept, packet.Drop, packet.Reject:
			f.add(one)
		default:
			f.left = append(f.left, left{line, "its target " + line.Jump + " is not supported"})
		}
	}
	return true
}

// counts are matches whose result depends on earlier packets.
var counts = map[string]bool{"limit": true, "hashlimit": true, "connlimit": true, "recent": true, "quota": true, "statistic": true}

func (f *flattener) add(one *flat) {
	for i, logged := range f.logs {
		if one.log == nil && sameConds(withoutOpaque(logged.conds), withoutOpaque(one.conds)) {
			one.log = logged.origin()
			f.logs = append(f.logs[:i:i], f.logs[i+1:]...)
			break
		}
	}
	f.out = append(f.out, one)
}

// continuing keeps a LOG rule for the rule that refuses the same packets; other rules after which
// packets go on change nothing that is compared here.
func (f *flattener) continuing(one *flat) {
	switch r := one.origin(); {
	case r.Jump == "LOG" || r.Jump == "NFLOG":
		f.logs = append(f.logs, one)
	case r.Jump != "":
		f.left = append(f.left, left{r, "its target " + r.Jump + " is not supported; packets go on after it"})
	}
}

func withoutOpaque(conds []packet.Cond) []packet.Cond {
	var out []packet.Cond
	for _, c := range conds {
		if o, ok := c.(packet.Opaque); !ok || !o.Stateful {
			out = append(out, c)
		}
	}
	return out
}

func sameConds(a, b []packet.Cond) bool { return packet.All(a).String() == packet.All(b).String() }

// programOf is the hand-made rules of a family as a program, and the table that they are in.
func programOf(h *snapshot.Host, f ir.Family) (*iptables.Table, *packet.Program) {
	return h.Filter(f), h.Program(f, h.Target)
}
