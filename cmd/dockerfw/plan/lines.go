package plan

import (
	"fmt"
	"strings"
)

// Lines describe the differences, one in each line.
func (d *Differences) Lines() []string {
	var out []string
	for _, c := range d.Chains {
		where := fmt.Sprintf("IPv%d %s", c.Family, c.Chain)
		if c.Table != filter {
			where += " in the " + c.Table + " table"
		}
		what := map[Kind]string{Add: "add the rules", Replace: "replace the rules", Remove: "remove the rules"}[c.Kind]
		out = append(out, where+": "+what)
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

// text describes the change of a set in numbers.
func (c *SetChange) text() string {
	var parts []string
	if c.Created {
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
