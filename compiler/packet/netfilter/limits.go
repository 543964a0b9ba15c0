package netfilter

import (
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// contrary has options that match exactly if another one with the same value does not: the
// kernel counts in the same way and inverts the result (xt_hashlimit.c, xt_connlimit.c).
var contrary = map[string]string{
	"--hashlimit-above": "--hashlimit-upto",
	"--connlimit-above": "--connlimit-upto",
}

// limitCond returns the condition of a limit. "above" is the negation of "upto", and so is
// a ! before either: a rule that returns below a limit and one that drops above it have one
// condition. The name of a hashlimit table is part of it only if shared reports that other
// rules count in that table.
func limitCond(m *iptables.Match, shared func(table string) bool) packet.Cond {
	not := false
	var options []iptables.Option
	for _, o := range m.Options {
		if o.Name == "--hashlimit" {
			o.Name = "--hashlimit-upto" // its name before iptables 1.4.1
		}
		if upto, ok := contrary[o.Name]; ok {
			o.Name, not = upto, !not
		}
		if o.Not && (o.Name == "--hashlimit-upto" || o.Name == "--connlimit-upto" || o.Name == "--quota") {
			o.Not, not = false, !not
		}
		if o.Name == "--hashlimit-name" && !shared(o.Value()) {
			continue
		}
		options = append(options, o)
	}
	c := packet.Opaque{Text: words(append([]string{m.Name}, optionWords(options)...)...), Stateful: true}
	if not {
		return packet.Not{C: c}
	}
	return c
}

// hashTables returns the number of rules that count in each hashlimit table.
func hashTables(tables ...*iptables.Table) map[string]int {
	out := map[string]int{}
	seen := map[*iptables.Rule]bool{}
	for _, t := range tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if seen[r] {
					continue
				}
				seen[r] = true
				for i := range r.Matches {
					if o := r.Matches[i].Option("--hashlimit-name"); o != nil {
						out[o.Value()]++
					}
				}
			}
		}
	}
	return out
}
