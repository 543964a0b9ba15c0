package outcome

import (
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Plan is what a load would do.
type Plan struct {
	// Rules are unified diffs of dockerfw's rules, one for each family and table.
	Rules []RulesDiff `json:"rules"`
	// Sets are the sets that change, with all entries.
	Sets  []plan.SetChange `json:"sets"`
	Steps []PlanStep       `json:"steps"`
}

// RulesDiff is the diff of dockerfw's rules in a table.
type RulesDiff struct {
	Family string `json:"family"`
	Table  string `json:"table"`
	Diff   string `json:"diff"`
}

// PlanStep is a run of a tool.
type PlanStep struct {
	Name string `json:"name"`
	// Tool is the command: "ipset restore", "iptables-restore --noflush".
	Tool string `json:"tool"`
	// RollsBack: if the step fails, the rules and sets from before are restored. Others remove
	// what the new rules do not need: if one fails, these are in force all the same.
	RollsBack bool `json:"rolls_back"`
}

func planOf(p *plan.Plan) *Plan {
	out := &Plan{Rules: []RulesDiff{}, Sets: []plan.SetChange{}, Steps: []PlanStep{}}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		for _, table := range []string{"filter", "security"} {
			if text := rulesDiff(p.Differences, f, table); text != "" {
				out.Rules = append(out.Rules, RulesDiff{f.String(), table, text})
			}
		}
	}
	out.Sets = append(out.Sets, p.Differences.Sets...)
	if t := p.Differences.Table; t != nil {
		if text := tableDiff(t); text != "" {
			out.Rules = append(out.Rules, RulesDiff{"inet", "dockerfw", text})
		}
		out.Sets = append(out.Sets, t.Sets...)
	}
	for i, steps := range [][]plan.Step{p.Load, p.Settle} {
		for _, s := range steps {
			out.Steps = append(out.Steps, PlanStep{s.Name, toolOf(s), i == 0})
		}
	}
	return out
}

func toolOf(s plan.Step) string {
	switch {
	case s.Tool == plan.IPSet:
		return "ipset restore"
	case s.Tool == plan.NFT:
		return "nft -f"
	case s.Family == ir.IPv6:
		return "ip6tables-restore --noflush"
	}
	return "iptables-restore --noflush"
}

// rulesDiff is the unified diff of a table, "" if nothing changes. A jump is inserted as the first
// rule of its chain.
func rulesDiff(d *plan.Differences, f ir.Family, table string) string {
	var before, after strings.Builder
	for _, j := range d.Jumps {
		if j.Family != f || j.Table != table {
			continue
		}
		if j.Late {
			before.WriteString("-A " + j.Chain + " -j " + j.To + "\n")
		}
		after.WriteString("-I " + j.Chain + " 1 -j " + j.To + "\n")
	}
	for _, c := range d.Chains {
		if c.Family != f || c.Table != table {
			continue
		}
		writeChain(&before, c.Chain, c.Before, c.Kind != plan.Add)
		writeChain(&after, c.Chain, c.After, c.Kind != plan.Remove)
	}
	return unified(fmt.Sprintf("IPv%d, table %s", f, table), before.String(), after.String())
}

// tableDiff is the unified diff of the chains of the table of nft, "" if none changes.
func tableDiff(t *plan.TableChange) string {
	var before, after strings.Builder
	write := func(w *strings.Builder, chain string, lines []string) {
		w.WriteString("chain " + chain + "\n")
		for _, l := range lines {
			w.WriteString("  " + l + "\n")
		}
	}
	for _, c := range t.Chains {
		if c.Kind != plan.Add {
			write(&before, c.Chain, c.Before)
		}
		if c.Kind != plan.Remove {
			write(&after, c.Chain, c.After)
		}
	}
	return unified("table "+plan.TableName, before.String(), after.String())
}

func unified(name, before, after string) string {
	text := string(diff.Diff(name+": now", []byte(before), name+": after loading", []byte(after)))
	// Its first line repeats the names.
	_, text, _ = strings.Cut(text, "\n")
	return text
}

// writeChain writes a chain, which may exist without rules.
func writeChain(w *strings.Builder, chain string, rules []string, exists bool) {
	if exists {
		w.WriteString(":" + chain + "\n")
	}
	for _, rule := range rules {
		w.WriteString("-A " + chain + " " + rule + "\n")
	}
}
