package netfilter

import (
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// contrary options of a match say the opposite of another option with the same
// value: the kernel counts alike and inverts the answer (xt_hashlimit.c,
// xt_connlimit.c).
var contrary = map[string]string{
	"--hashlimit-above": "--hashlimit-upto",
	"--connlimit-above": "--connlimit-upto",
}

// limitCond is a limit as a condition: "above" is the contrary of "upto", as is a !
// before either, so that a rule which returns below a limit and one which drops above
// it are about one condition. The name of a hashlimit table is not part of it as long
// as no other rule counts in that table: shared tells.
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

// hashTables counts the rules of tables for each hashlimit table they count in.
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
