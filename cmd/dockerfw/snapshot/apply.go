package snapshot

import (
	"fmt"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// LoadedOnto returns another host as it is after dockerfw has loaded h, which is compiled.
// Foreign rules stay, except in chains that belong to dockerfw alone; rules and chains of an
// earlier version are removed, in the security table as well, and so is what another target has loaded.
func (h *Host) LoadedOnto(host *Host) (*Host, error) {
	out := &Host{
		Name: h.Name, Label: h.Label, Kind: host.Kind,
		Rules:   map[ir.Family]*iptables.Ruleset{},
		Install: h.Install, Target: h.Target, Own: h.Own, Unmanaged: h.Unmanaged,
		Origins: h.Origins, Implicit: h.Implicit, Sources: h.Sources,
		Backend: host.Backend, suffix: host.suffix, savedBy: host.savedBy, tools: host.tools, NFT: h.tableLoadedOnto(host), NFTUnread: host.NFTUnread,
		Other: host.Other, NoSecurity: host.NoSecurity,
		Network: host.Network, NetworkUnread: host.NetworkUnread, Internal: h.Internal,
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if host.Rules[f] == nil && (h.Rules[f] == nil || h.NFTables()) {
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

// rulesLoadedOnto returns the rules of a family after loading, and what it does with the jumps.
func (h *Host) rulesLoadedOnto(host *Host, f ir.Family) (*iptables.Ruleset, []Placement, error) {
	rules := iptables.NewRuleset(iptables.Family(f))
	if host.Rules[f] != nil {
		rules = host.Rules[f].Clone()
	}
	version := h.rulesVersion(f)
	if err := version.LoadOnto(rules, f, host.NoSecurity[f]); err != nil {
		return nil, nil, err
	}
	return rules, h.place(host, rules, version.Jumps(f)), nil
}

// setsLoadedOnto returns the sets after loading; unmanaged ones keep their entries.
func (h *Host) setsLoadedOnto(host *Host) (*iptables.Sets, error) {
	if h.Sets == nil || h.NFTables() {
		return host.Sets, nil
	}
	keep := map[string]bool{}
	for name := range h.Unmanaged {
		have := host.Sets.Set(name)
		if have == nil {
			continue
		}
		if want := h.Sets.Set(name); have.Type != want.Type || have.Family != want.Family {
			return nil, fmt.Errorf("the unmanaged set %s is %s on %s and %s in %s", name, have.Kind(), host.Name, want.Kind(), h.Name)
		}
		keep[name] = true
	}
	return host.Sets.Overlay(h.Sets, func(name string) bool { return !keep[name] }), nil
}
