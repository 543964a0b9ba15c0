package iptables

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// SetsEffect returns what loading the sets changes, as a predicate such as "fills no set".
func SetsEffect(sets []*Set) string {
	managed := 0
	for _, s := range sets {
		if s.Managed {
			managed++
		}
	}
	switch managed {
	case 0:
		return "fills no set"
	case 1:
		return "replaces the elements of 1 set"
	}
	return fmt.Sprintf("replaces the elements of %d sets", managed)
}

// RulesEffect returns what loading the rules of p changes in the filter table, as a predicate.
func RulesEffect(p *Program) string {
	input := p.ProtectsInput()
	switch {
	case p.Install == ir.InstallReplace && input:
		return fmt.Sprintf("replaces all rules of chains %s and %s", p.Target, ir.InputChain)
	case p.Install == ir.InstallReplace:
		return "replaces all rules of chain " + p.Target
	case p.Install == ir.InstallJump && input:
		return fmt.Sprintf("replaces all rules of chains %s and %s, which jumps in %s and INPUT lead to", p.Chains[0].Name, ir.InputChain, p.Target)
	case p.Install == ir.InstallJump:
		return fmt.Sprintf("replaces all rules of chain %s, which a jump in %s leads to", p.Chains[0].Name, p.Target)
	case input:
		return fmt.Sprintf("replaces all rules of chain %s, and inserts rules at the head of chain %s", ir.InputChain, p.Target)
	}
	return fmt.Sprintf("inserts rules at the head of chain %s", p.Target)
}

// Repeated returns an addition to [RulesEffect] for loading by hand: with InstallInsert each
// load adds the rules again, unless the old ones are removed in the same transaction, as
// dockerfw apply does. It is empty for the other install modes.
func Repeated(p *Program) string {
	if p.Install == ir.InstallInsert {
		return ", once more each time"
	}
	return ""
}

// FallbackEffect returns an addition to [RulesEffect] for the security table; "" if p has no
// fallback rules.
func FallbackEffect(p *Program) string {
	switch jumps := p.FallbackJumps(); len(jumps) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(", and the fallback rules in chain %s of the security table", jumps[0].To)
	default:
		return fmt.Sprintf(", and the fallback rules in chains %s and %s of the security table", jumps[0].To, jumps[1].To)
	}
}

// FallbackJump returns the sentence about the jumps to the fallback rules, which the restore
// file does not have: loading it again would add others. It is "" if p has no fallback rules.
func FallbackJump(p *Program) string {
	switch jumps := p.FallbackJumps(); len(jumps) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(" The jump to it in %s of that table is not in this file; dockerfw apply adds it.", jumps[0].From)
	default:
		return fmt.Sprintf(" The jumps to them in %s and %s of that table are not in this file; dockerfw apply adds them.", jumps[0].From, jumps[1].From)
	}
}

// RemovalEffect returns what loading the removal file of p removes, as a predicate.
func RemovalEffect(p *Program) string {
	input := p.ProtectsInput()
	more := ""
	switch jumps := p.FallbackJumps(); {
	case len(jumps) == 0 && input:
		more = fmt.Sprintf(", and chain %s with the jump to it in INPUT, which must be there", ir.InputChain)
	case len(jumps) > 0:
		var from []string
		for _, j := range jumps {
			from = append(from, j.From)
		}
		where := strings.Join(from, " and ") + " of the security table"
		switch {
		case input && len(jumps) == 1:
			more = fmt.Sprintf(", and chain %s and the fallback rules with the jumps to them in INPUT and %s, which must be there", ir.InputChain, where)
		case input:
			more = fmt.Sprintf(", and chain %s and the fallback rules with the jumps to them in INPUT, and in %s, which must be there", ir.InputChain, where)
		default:
			more = fmt.Sprintf(", and the fallback rules with the jump to them in %s, which must be there", where)
		}
	}
	switch p.Install {
	case ir.InstallReplace:
		if more != "" {
			more = ", and removes" + strings.TrimPrefix(more, ", and")
		}
		return "empties chain " + p.Target + more
	case ir.InstallJump:
		return fmt.Sprintf("removes chain %s and the jump to it in %s%s", p.Chains[0].Name, p.Target, more)
	}
	return fmt.Sprintf("removes dockerfw's rules from chain %s%s", p.Target, more)
}
