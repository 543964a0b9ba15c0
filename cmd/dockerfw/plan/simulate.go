package plan

import (
	"bytes"
	"fmt"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// clone is a copy of the host that Run can change.
func (h *Host) clone() *Host {
	out := &Host{Rules: map[ir.Family]*iptables.Ruleset{}, Other: map[ir.Family]*iptables.Ruleset{}, Sets: h.Sets.Clone(), NoSecurity: h.NoSecurity, Table: h.Table.Clone()}
	for f, rules := range h.Rules {
		out.Rules[f] = rules.Clone()
	}
	for f, rules := range h.Other {
		out.Other[f] = rules.Clone()
	}
	return out
}

// Run changes a simulated host as the tool of a step changes a real one. A step that fails has
// the effect that it has on a real host: ipset keeps what the lines before did, iptables the
// tables before.
func (h *Host) Run(s Step) error {
	switch s.Tool {
	case IPSet:
		return h.runIPSet(s)
	case NFT:
		return h.runNFT(s)
	}
	side := h.Rules
	if s.Other {
		side = h.Other
	}
	if side[s.Family] == nil {
		return fmt.Errorf("%s: there is no tool for IPv%d", s.Name, s.Family)
	}
	file, diags := iptables.ParseRules(bytes.NewReader(s.Input), s.Name)
	if diags.HasErrors() {
		return diags
	}
	for _, b := range file.Blocks {
		for _, c := range b.Commands {
			if c.Rule == nil {
				continue
			}
			for _, set := range setsOf(c.Rule) {
				if c.Op != iptables.Delete && h.Sets.Set(set) == nil {
					return fmt.Errorf("%s: %s: set %s does not exist", s.Name, c.Line, set)
				}
			}
		}
		if diags := side[s.Family].Load(&iptables.RulesFile{Name: s.Name, Blocks: []*iptables.Block{b}}); diags.HasErrors() {
			return diags
		}
	}
	return nil
}

func (h *Host) runIPSet(s Step) error {
	file, diags := iptables.ParseSets(bytes.NewReader(s.Input), s.Name)
	if diags.HasErrors() {
		return diags
	}
	used := map[string]bool{}
	for _, side := range []map[ir.Family]*iptables.Ruleset{h.Rules, h.Other} {
		for _, r := range rulesOf(side) {
			for _, set := range setsOf(r) {
				used[set] = true
			}
		}
	}
	for _, c := range file.Commands {
		if c.Op == iptables.SetDestroy && used[c.Set] {
			return fmt.Errorf("%s: set %s is used by a rule", s.Name, c.Set)
		}
		if diags := h.Sets.Load(&iptables.SetsFile{Name: s.Name, Commands: []*iptables.SetCommand{c}}); diags.HasErrors() {
			return diags
		}
	}
	return nil
}

// Simulate returns the tables of an empty host after loading a version.
func Simulate(want *Version, noSecurity map[ir.Family]bool) (Printed, error) {
	out := Printed{}
	for _, f := range families {
		if want.Rules[f] == nil {
			continue
		}
		file, diags := iptables.ParseRules(bytes.NewReader(want.IntoEmpty(f, noSecurity[f])), "simulated")
		rules := iptables.NewRuleset(iptables.Family(f))
		if !diags.HasErrors() {
			diags = rules.Load(file)
		}
		if diags.HasErrors() {
			return nil, diags
		}
		out[f] = rules
	}
	return out, nil
}

// IntoEmpty is the input of iptables-restore that loads the rules of a family into the tables of
// an empty host. The sets that they use must exist.
func (v *Version) IntoEmpty(f ir.Family, noSecurity bool) []byte {
	var out []byte
	for _, table := range tables {
		if table == security && noSecurity {
			continue
		}
		out = append(out, transaction(nil, table, f, v.Rules[f], nil, stay)...)
	}
	return out
}

// EmptySets is the input of ipset restore that creates the sets of a version on an empty host:
// those with entries, and the unmanaged ones without.
func (v *Version) EmptySets() []byte {
	var w setWriter
	w.unmanaged(&Host{Sets: &iptables.Sets{}}, v)
	for _, name := range sortedSets(v.Sets) {
		w.fill(v.Sets.Set(name), name, nil)
	}
	return w.buf.Bytes()
}
