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

// RulesEffect returns what loading the rules of p changes, as a predicate.
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
// apply.sh does. It is empty for the other install modes.
func Repeated(p *Program) string {
	if p.Install == ir.InstallInsert {
		return ", once more each time"
	}
	return ""
}

// RemovalEffect returns what loading the removal file of p removes, as a predicate.
func RemovalEffect(p *Program) string {
	input := ""
	if p.ProtectsInput() {
		input = fmt.Sprintf(", and chain %s with the jump to it in INPUT, which must be there", ir.InputChain)
	}
	switch p.Install {
	case ir.InstallReplace:
		if input != "" {
			input = ", and removes" + strings.TrimPrefix(input, ", and")
		}
		return "empties chain " + p.Target + input
	case ir.InstallJump:
		return fmt.Sprintf("removes chain %s and the jump to it in %s%s", p.Chains[0].Name, p.Target, input)
	}
	return fmt.Sprintf("removes dockerfw's rules from chain %s%s", p.Target, input)
}
