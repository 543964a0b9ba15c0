package snapshot

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// LoadedOnto returns another host as it is after dockerfw has loaded h, which is compiled.
// Foreign rules stay, except in chains that belong to dockerfw alone; rules and chains of an
// earlier version are removed, in the security table as well.
func (h *Host) LoadedOnto(host *Host) (*Host, error) {
	out := &Host{
		Name: h.Name, Label: h.Label, Kind: host.Kind,
		Rules:   map[ir.Family]*iptables.Ruleset{},
		Install: h.Install, Target: h.Target, Own: h.Own, Unmanaged: h.Unmanaged,
		Origins: h.Origins, Implicit: h.Implicit, Sources: h.Sources,
		Backend: host.Backend, suffix: host.suffix, savedBy: host.savedBy, tools: host.tools, NFT: host.NFT, NFTUnread: host.NFTUnread,
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if host.Rules[f] == nil && h.Rules[f] == nil {
			continue
		}
		rules, placed, err := h.rulesLoadedOnto(host, f)
		if err != nil {
			return nil, err
		}
		out.Rules[f], out.Placed = rules, append(out.Placed, placed...)
	}
	sets, err := h.setsLoadedOnto(host)
	out.Sets = sets
	return out, err
}

// rulesLoadedOnto returns the rules of a family after loading, and what it does with the jumps;
// iptables-restore is one transaction for each table.
func (h *Host) rulesLoadedOnto(host *Host, f ir.Family) (*iptables.Ruleset, []Placement, error) {
	rules := iptables.NewRuleset(iptables.Family(f))
	if host.Rules[f] != nil {
		rules = host.Rules[f].Clone()
	}
	if h.restore[f] == nil {
		for _, name := range []string{"filter", "security"} {
			if t := rules.Table(name); t != nil {
				removeOurs(t, nil, nil)
			}
		}
		return rules, nil, nil
	}
	if rules.Table("filter") == nil {
		if diags := rules.Load(emptyFilter); diags.HasErrors() {
			return nil, nil, diags
		}
	}
	t := rules.Table("filter")
	if t.Chain(h.Target) == nil {
		t.Chains = append(t.Chains, &iptables.Chain{Name: h.Target})
	}
	removeOurs(t, h.Own[f], h.jumps(f))
	if t := rules.Table("security"); t != nil {
		removeOurs(t, nil, h.jumps(f))
	}
	file := h.restore[f]
	if host.NoSecurity[f] {
		file = &iptables.RulesFile{Blocks: slices.DeleteFunc(slices.Clone(file.Blocks), func(b *iptables.Block) bool { return b.Table == "security" })}
	}
	if diags := rules.Load(file); diags.HasErrors() {
		return nil, nil, diags
	}
	return rules, h.place(host, rules, f), nil
}

// removeOurs removes what an earlier version left: rules in foreign chains except jumps to
// place, and chains of dockerfw except those to keep.
func removeOurs(t *iptables.Table, keep []string, place []plan.Jump) {
	for _, c := range t.Chains {
		if !identity.IsOwnChain(c.Name) {
			c.Rules = slices.DeleteFunc(slices.Clone(c.Rules), func(r *iptables.Rule) bool {
				placed := slices.ContainsFunc(place, func(j plan.Jump) bool { return j.Table == t.Name && j.Chain == c.Name && is(j)(r) })
				return identity.Ours(r) && !placed
			})
		}
	}
	t.Chains = slices.DeleteFunc(t.Chains, func(c *iptables.Chain) bool {
		return identity.IsOwnChain(c.Name) && !slices.Contains(keep, c.Name)
	})
	t.Changed()
}

var emptyFilter = &iptables.RulesFile{Blocks: []*iptables.Block{{Table: "filter", Committed: true}}}

func insertJump(c *iptables.Chain, to string) {
	c.Rules = slices.Insert(slices.Clone(c.Rules), 0, &iptables.Rule{Chain: c.Name, Jump: to, Text: "-j " + to})
}

// setsLoadedOnto returns the sets after loading; unmanaged ones keep their entries.
func (h *Host) setsLoadedOnto(host *Host) (*iptables.Sets, error) {
	if h.Sets == nil {
		return host.Sets, nil
	}
	keep := map[string]bool{}
	for name := range h.Unmanaged {
		have := host.Sets.Set(name)
		if have == nil {
			continue
		}
		if want := h.Sets.Set(name); have.Type != want.Type || have.Family != want.Family {
			return nil, fmt.Errorf("the unmanaged set %s is %s on %s and %s in %s", name, setKind(have), host.Name, setKind(want), h.Name)
		}
		keep[name] = true
	}
	return host.Sets.Overlay(h.Sets, func(name string) bool { return !keep[name] }), nil
}

func setKind(s *iptables.Set) string {
	if s.Family == "" {
		return s.Type
	}
	return s.Type + " of family " + s.Family
}
