package snapshot

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Apply returns the host as it would be after apply.sh has loaded a compiled
// state: what others own stays, what only an earlier version of ours had is gone.
func (s *State) Apply(host *State) (*State, error) {
	out := &State{
		Name: s.Name, Host: s.Host, Kind: host.Kind,
		Rules:   map[ir.Family]*iptables.Ruleset{},
		Install: s.Install, Target: s.Target, Own: s.Own, Unmanaged: s.Unmanaged,
		Origins: s.Origins, Sources: s.Sources,
		Backend: host.Backend, suffix: host.suffix, savedBy: host.savedBy, NFT: host.NFT, Unread: host.Unread,
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if host.Rules[f] == nil && s.Rules[f] == nil {
			continue
		}
		rules, err := s.applyRules(host, f)
		if err != nil {
			return nil, err
		}
		out.Rules[f] = rules
	}
	sets, err := s.applySets(host)
	out.Sets = sets
	return out, err
}

// applyRules loads the rules of a family, as one transaction.
func (s *State) applyRules(host *State, f ir.Family) (*iptables.Ruleset, error) {
	rules := iptables.NewRuleset(iptables.Family(f))
	if host.Rules[f] != nil {
		rules = host.Rules[f].Clone()
	}
	if s.rules[f] == nil {
		if t := rules.Table("filter"); t != nil {
			dropOurs(t, nil)
		}
		return rules, nil
	}
	if rules.Table("filter") == nil {
		if diags := rules.Load(emptyFilter); diags.HasErrors() {
			return nil, diags
		}
	}
	t := rules.Table("filter")
	if t.Chain(s.Target) == nil {
		t.Chains = append(t.Chains, &iptables.Chain{Name: s.Target})
	}
	dropOurs(t, s.Own[f])
	if diags := rules.Load(s.rules[f]); diags.HasErrors() {
		return nil, diags
	}
	if s.Install == ir.InstallJump {
		insertJump(t.Chain(s.Target), OwnPrefix)
	}
	if t.Chain(GuardChain) != nil && slices.Contains(s.Own[f], GuardChain) {
		insertJump(t.Chain("INPUT"), GuardChain)
	}
	if forward := t.Chain("FORWARD"); s.Target != "DOCKER" && !leadsInTime(forward, s.Target) {
		// As apply.sh does: behind what accepts packets, the jump to our rules comes too late.
		forward.Rules = slices.DeleteFunc(slices.Clone(forward.Rules), func(r *iptables.Rule) bool { return jumpsTo(r, s.Target) })
		insertJump(forward, s.Target)
	}
	return rules, nil
}

// dropOurs takes away what an earlier version of ours left: our rules in chains of
// others, and our chains but for those to keep.
func dropOurs(t *iptables.Table, keep []string) {
	for _, c := range t.Chains {
		if !ownChain(c.Name) {
			c.Rules = slices.DeleteFunc(slices.Clone(c.Rules), Ours)
		}
	}
	t.Chains = slices.DeleteFunc(t.Chains, func(c *iptables.Chain) bool {
		return ownChain(c.Name) && !slices.Contains(keep, c.Name)
	})
	t.Changed()
}

var emptyFilter = &iptables.RulesFile{Blocks: []*iptables.Block{{Table: "filter", Committed: true}}}

func insertJump(c *iptables.Chain, to string) {
	c.Rules = slices.Insert(slices.Clone(c.Rules), 0, &iptables.Rule{Chain: c.Name, Jump: to, Text: "-j " + to})
}

// applySets are the sets once those of s are loaded: what others fill stays as it is.
func (s *State) applySets(host *State) (*iptables.Sets, error) {
	if s.Sets == nil {
		return host.Sets, nil
	}
	keep := map[string]bool{}
	for name := range s.Unmanaged {
		have := host.Sets.Set(name)
		if have == nil {
			continue
		}
		if want := s.Sets.Set(name); have.Type != want.Type || have.Family != want.Family {
			return nil, fmt.Errorf("the set %s, which others fill, is %s on %s and %s in %s", name, setKind(have), host.Name, setKind(want), s.Name)
		}
		keep[name] = true
	}
	return host.Sets.Overlay(s.Sets, func(name string) bool { return !keep[name] }), nil
}

func setKind(s *iptables.Set) string {
	if s.Family == "" {
		return s.Type
	}
	return s.Type + " of family " + s.Family
}

var dockerChain = regexp.MustCompile(`^DOCKER[-A-Z0-9]*$`)

// leadsInTime tells whether a chain has a jump to another before any rule of it accepts or
// hands packets to Docker's chains.
func leadsInTime(c *iptables.Chain, to string) bool {
	for _, r := range c.Rules {
		if jumpsTo(r, to) {
			return true
		}
		if r.Jump == "ACCEPT" || dockerChain.MatchString(r.Jump) {
			return false
		}
	}
	return false
}
