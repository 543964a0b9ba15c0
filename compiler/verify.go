package compiler

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Text is what was emitted for a ruleset.
type Text struct {
	// Rules and RulesRemoval by family.
	Rules, RulesRemoval map[ir.Family][]byte
	Sets, SetsRemoval   []byte
}

// Verify proves the emitted text. It reads the text back, loads it into the tables of an imagined host as
// iptables-restore and ipset restore would, and checks that the host then holds
// the rules of the IR in the order of the IR, that the order keeps the invariant,
// that loading once more changes nothing (except with Insert, which adds), that
// the removal files take everything away, and that the rules with the sets decide
// every packet as the policy says. What does not hold is an internal error that
// names the rules, or a packet.
func Verify(policy *parser.Policy, lists *Lists, rs *ir.Ruleset, text Text) hcl.Diagnostics {
	var diags hcl.Diagnostics
	fail := func(rng hcl.Range, format string, args ...any) {
		diags = append(diags, internalError(rng, format, args...))
	}
	sets, rng, err := verifySets(rs.Sets, text.Sets, text.SetsRemoval)
	if err != nil {
		fail(rng, "the emitted sets: %s", err)
	}
	for _, p := range rs.Programs {
		read, rng, err := verifyRules(p, text.Rules[p.Family], text.RulesRemoval[p.Family])
		if err == nil && sets != nil {
			err = prove(policy, lists, read, sets)
		}
		if err != nil {
			fail(rng, "the emitted %s rules: %s", p.Family, err)
		}
	}
	return diags
}

func internalError(rng hcl.Range, format string, args ...any) *hcl.Diagnostic {
	return diag.New(diag.CodeInternal, rng, "internal error",
		fmt.Sprintf("This is a fault of dockerfw, not of the policy; nothing was written. Please report it: %s.", fmt.Sprintf(format, args...)))
}

// origin is a place to blame for a chain as a whole.
func origin(c *ir.Chain) hcl.Range {
	if len(c.Rules) == 0 {
		return hcl.Range{}
	}
	return c.Rules[0].Origin.Range
}

// hostChains is what a host has before anything of ours is loaded.
func hostChains(p *ir.Program) string {
	return "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:" + p.Target + " - [0:0]\n-A FORWARD -j " + p.Target + "\nCOMMIT\n"
}

// jumps are those that are put in place by hand or by a script, and taken away by
// the removal files.
func jumps(p *ir.Program) string {
	text := "*filter\n"
	if p.Install == ir.Jump {
		text += "-I " + p.Target + " -j " + p.Chains[0].Name + "\n"
	}
	if p.HasGuard() {
		text += "-I INPUT 1 -j " + ir.GuardChain + "\n"
	}
	return text + "COMMIT\n"
}

// verifyRules returns the rules as they were read back.
func verifyRules(p *ir.Program, load, remove []byte) (*ir.Program, hcl.Range, error) {
	none := origin(p.Chains[0])
	host := iptables.NewRuleset(iptables.Family(p.Family))
	if err := loadRules(host, 1, []byte(hostChains(p))); err != nil {
		return nil, none, err
	}
	times := 2
	if p.Install == ir.Insert {
		times = 1
	}
	if err := loadRules(host, times, load); err != nil {
		return nil, none, err
	}
	read := &ir.Program{Family: p.Family, Install: p.Install, Target: p.Target}
	for _, chain := range p.Chains {
		got, rng, err := compareChain(chain, host.Table("filter").Chain(chain.Name), p.Family)
		if err != nil {
			return nil, rng, err
		}
		read.Chains = append(read.Chains, got)
	}
	if err := read.CheckOrder(); err != nil {
		return nil, none, err
	}

	if err := loadRules(host, 1, []byte(jumps(p))); err != nil {
		return nil, none, err
	}
	if err := loadRules(host, 1, remove); err != nil {
		return nil, none, fmt.Errorf("removal: %w", err)
	}
	for _, chain := range host.Table("filter").Chains {
		ours := strings.HasPrefix(chain.Name, OwnChain)
		if ours || len(chain.Rules) > 0 && (chain.Name == p.Target || chain.Name == "INPUT") {
			return nil, none, fmt.Errorf("removal leaves chain %s with %d rules", chain.Name, len(chain.Rules))
		}
	}
	return read, none, nil
}

// loadRules loads text so many times.
func loadRules(host *iptables.Ruleset, times int, text []byte) error {
	file, diags := iptables.ParseRules(bytes.NewReader(text), "emitted text")
	for i := 0; i < times && !diags.HasErrors(); i++ {
		diags = host.Load(file)
	}
	if diags.HasErrors() {
		return diags
	}
	return nil
}

// compareChain checks that a chain of text is the chain of the IR, and returns it
// as it was read.
func compareChain(want *ir.Chain, text *iptables.Chain, f ir.Family) (*ir.Chain, hcl.Range, error) {
	none := origin(want)
	if text == nil {
		return nil, none, fmt.Errorf("chain %s is missing", want.Name)
	}
	got := &ir.Chain{Name: want.Name}
	for _, r := range text.Rules {
		rule, err := ReadBack(r, f)
		if err != nil {
			return nil, none, fmt.Errorf("chain %s: %q: %w", want.Name, r.Text, err)
		}
		got.Rules = append(got.Rules, rule)
	}
	if err := (&ir.Program{Chains: []*ir.Chain{got}}).CheckOrder(); err != nil {
		return nil, none, err
	}
	for i, rule := range want.Rules {
		if i >= len(got.Rules) {
			return nil, rule.Origin.Range, fmt.Errorf("chain %s: rule %d, %q, is missing", want.Name, i+1, rule.Comment())
		}
		have := got.Rules[i]
		same := have.Phase == rule.Phase && have.Origin.Name == rule.Origin.Name &&
			reflect.DeepEqual(have.Verdict, rule.Verdict) && slices.EqualFunc(have.Matches, rule.Matches, equalMatch)
		if !same {
			return nil, rule.Origin.Range, fmt.Errorf("chain %s: rule %d should be %q and is %q: %s", want.Name, i+1, rule.Comment(), have.Comment(), text.Rules[i].Text)
		}
	}
	if len(got.Rules) > len(want.Rules) {
		return nil, none, fmt.Errorf("chain %s: %q stands behind the last rule", want.Name, got.Rules[len(want.Rules)].Comment())
	}
	return got, none, nil
}

func equalMatch(a, b ir.Match) bool { return reflect.DeepEqual(a, b) }

// verifySets returns the sets as they are after loading.
func verifySets(want []*ir.Set, load, remove []byte) (*iptables.Sets, hcl.Range, error) {
	var none hcl.Range
	file, err := parseSets(load)
	if err != nil {
		return nil, none, err
	}
	host := &iptables.Sets{}
	for range 2 {
		if diags := host.Load(file); diags.HasErrors() {
			return nil, none, diags
		}
	}
	if names := host.Names(); len(names) != len(want) {
		return nil, none, fmt.Errorf("%d sets are made, not %d: %s", len(names), len(want), strings.Join(names, ", "))
	}
	for _, s := range want {
		if err := compareSet(s, host.Set(s.Name)); err != nil {
			return nil, s.Origin.Range, fmt.Errorf("set %s: %w", s.Name, err)
		}
	}

	removal, err := parseSets(remove)
	if err != nil {
		return nil, none, fmt.Errorf("removal: %w", err)
	}
	empty := &iptables.Sets{}
	if diags := append(empty.Load(file), empty.Load(removal)...); diags.HasErrors() {
		return nil, none, fmt.Errorf("removal: %w", diags)
	}
	for _, s := range want {
		if gone := empty.Set(s.Name) == nil; gone != s.Managed {
			return nil, s.Origin.Range, fmt.Errorf("set %s: after removal gone is %t, managed is %t", s.Name, gone, s.Managed)
		}
	}
	return host, none, nil
}

func parseSets(text []byte) (*iptables.SetsFile, error) {
	file, diags := iptables.ParseSets(bytes.NewReader(text), "emitted text")
	if diags.HasErrors() {
		return nil, diags
	}
	return file, nil
}

func compareSet(want *ir.Set, have *iptables.Set) error {
	switch {
	case have == nil:
		return fmt.Errorf("it is missing")
	case have.Type != string(want.Type):
		return fmt.Errorf("its type is %s, not %s", have.Type, want.Type)
	case want.Type != ir.ListSet && (have.Family == "inet6") != (want.Family == ir.IPv6):
		return fmt.Errorf("its family is %s", have.Family)
	case want.Type != ir.ListSet && have.MaxElem != want.MaxElem:
		return fmt.Errorf("its maxelem is %d, not %d", have.MaxElem, want.MaxElem)
	case have.Len() != len(want.Prefixes)+len(want.Members):
		return fmt.Errorf("it has %d elements, not %d", have.Len(), len(want.Prefixes)+len(want.Members))
	}
	for _, p := range want.Prefixes {
		if !have.Has(iptables.Entry{Prefix: p}) {
			return fmt.Errorf("%s is missing", p)
		}
	}
	for _, m := range want.Members {
		if !have.Has(iptables.Entry{Text: m}) {
			return fmt.Errorf("%s is missing", m)
		}
	}
	return nil
}
