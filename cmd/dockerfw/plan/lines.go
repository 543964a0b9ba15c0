package plan

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Lines describe the differences, one in each line. The chains of the security table, which are
// those of the filter table once more, share a line, and so do those of folded rules.
func (d *Differences) Lines() []string {
	var out []string
	out = append(out, d.Table.lines()...)
	for i := 0; i < len(d.Chains); i++ {
		c := d.Chains[i]
		first := i
		for i+1 < len(d.Chains) && c.sharesLine(&d.Chains[i+1]) {
			i++
		}
		names := joined(d.Chains[first : i+1])
		if c.Table != filter {
			names += " in the " + c.Table + " table"
		}
		what := map[Kind]string{Add: "add the rules", Replace: "replace the rules", Remove: "remove the rules"}[c.Kind]
		out = append(out, fmt.Sprintf("IPv%d %s: %s", c.Family, names, what))
	}
	for _, j := range d.Jumps {
		where := fmt.Sprintf("IPv%d %s", j.Family, j.Chain)
		if j.Table != filter {
			where += " in the " + j.Table + " table"
		}
		what := "add the jump to " + j.To
		if j.Late {
			what = "move the jump to " + j.To + " to the head of the chain"
		}
		out = append(out, where+": "+what)
	}
	for _, s := range d.Sets {
		out = append(out, "set "+s.Name+": "+s.text())
	}
	for _, f := range d.Other {
		out = append(out, fmt.Sprintf("IPv%d: remove the rules of dockerfw from the tables that Docker does not use", f))
	}
	return out
}

// sharesLine reports whether the change of the next chain is in the same line.
func (c *ChainChange) sharesLine(next *ChainChange) bool {
	return next.Family == c.Family && next.Table == c.Table && next.Kind == c.Kind &&
		(c.Table != filter || folded(c.Chain) && folded(next.Chain))
}

// folded reports whether a chain is one of folded rules, whose names begin with DOCKERFW and a number.
func folded(chain string) bool {
	rest, ok := strings.CutPrefix(chain, ir.OwnChain+"-")
	return ok && rest != "" && '0' <= rest[0] && rest[0] <= '9'
}

// joined are the names of chains: A, B and C. Those of folded rules are only counted if they are several.
func joined(chains []ChainChange) string {
	var names []string
	ofFolded := 0
	for _, c := range chains {
		if folded(c.Chain) {
			ofFolded++
		}
	}
	for _, c := range chains {
		if ofFolded < 2 || !folded(c.Chain) {
			names = append(names, c.Chain)
		}
	}
	if ofFolded > 1 {
		names = append(names, fmt.Sprintf("%d chains of folded rules", ofFolded))
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// text describes the change of a set in numbers.
func (c *SetChange) text() string {
	var parts []string
	switch {
	case c.Deleted && c.Counts:
		return "remove, with the counts of a limit"
	case c.Created && c.Counts:
		return "create for the counts of a limit"
	case c.Deleted:
		return fmt.Sprintf("remove, with %s", count(len(c.Removed), "entry", "entries"))
	case c.Created:
		return fmt.Sprintf("create with %s", count(len(c.Added), "entry", "entries"))
	}
	if c.Before != "" {
		parts = append(parts, fmt.Sprintf("change from %s to %s", c.Before, c.After))
	}
	if n := len(c.Added); n > 0 {
		parts = append(parts, "add "+count(n, "entry", "entries"))
	}
	if n := len(c.Removed); n > 0 {
		parts = append(parts, "remove "+count(n, "entry", "entries"))
	}
	return strings.Join(parts, ", ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Count is the number of rules, of both tables.
func (r *Rules) Count() (n int) {
	for _, table := range tables {
		if b := r.block(table); b != nil {
			for _, c := range b.Commands {
				if c.Rule != nil {
					n++
				}
			}
		}
	}
	return n
}
