package snapshot

import (
	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// programKey is a chain of a table.
type programKey struct {
	family       ir.Family
	table, start string
}

// Program returns the rules of a family that packets traverse from a chain of the filter table on, or
// from one of the table of dockerfw. A chain that does not exist is empty.
func (h *Host) Program(f ir.Family, start string) *packet.Program {
	if h.Table().Chain(start) != nil {
		p := *h.tableProgram(f, start)
		return &p
	}
	t := h.Filter(f)
	if t == nil {
		t = &iptables.Table{Name: "filter"}
	}
	if t.Chain(start) == nil {
		t = &iptables.Table{Name: t.Name, Chains: append([]*iptables.Chain{{Name: start}}, t.Chains...)}
	}
	p := *h.program(t, f, onlyJump(t, start))
	p.ToHost = start == ir.InputChain || start == "INPUT"
	return &p
}

// program is the program that begins in a chain of a table of the host. It is converted once:
// all callers share its chains.
func (h *Host) program(t *iptables.Table, f ir.Family, start string) *packet.Program {
	key := programKey{f, t.Name, start}
	if p := h.programs[key]; p != nil {
		return p
	}
	p := h.convert(t, f, start)
	if h.programs == nil {
		h.programs = map[programKey]*packet.Program{}
	}
	h.programs[key] = p
	return p
}

// convert makes a program of any table. Rules of the host's other tables count for limits that
// share a hash table.
func (h *Host) convert(t *iptables.Table, f ir.Family, start string) *packet.Program {
	var beside []*iptables.Table
	if h.Rules[f] != nil {
		beside = h.Rules[f].Tables
	}
	return netfilter.Program(t.Reachable(start), f, start, h.packetSets(), beside...)
}

// onlyJump skips a chain whose only rule is an unconditional jump to a chain of dockerfw: a
// RETURN there has the same effect as if packets had started there.
func onlyJump(t *iptables.Table, start string) string {
	c := t.Chain(start)
	if len(c.Rules) == 0 || len(c.Rules) == 2 && !identity.IsDockerReturn(c, 1) || len(c.Rules) > 2 {
		return start
	}
	if to := c.Rules[0].Jump; identity.IsOwnChain(to) && identity.JumpsTo(c.Rules[0], to) && t.Chain(to) != nil {
		return to
	}
	return start
}

// Reaches reports whether packets can get from one chain of a table to another, by jumps with
// conditions too.
func Reaches(t *iptables.Table, from, to string) bool {
	return t.Reachable(from).Chain(to) != nil
}

// Declared reports whether the rules that were read determine what a built-in chain does: by
// its rules, or by the line with its policy.
func Declared(c *iptables.Chain) bool {
	return c != nil && c.Policy != "" && (c.Range.Filename != "" || len(c.Rules) > 0)
}

// packetSets are the sets of the host for the algebra. The entries of unmanaged sets are known
// of a host, and not of what was compiled.
func (h *Host) packetSets() *netfilter.Sets {
	if h.ipsets == nil {
		h.ipsets = netfilter.NewSets(h.Sets, func(name string) bool { return h.Kind.Compiled() && h.Unmanaged[name] })
	}
	return h.ipsets
}

// Members are the addresses of the sets of OwnSets, by name: of those that have only addresses, and
// whose entries are known.
func (h *Host) Members() map[string]*packet.AddrSet {
	if h.NFTables() {
		h.readTableSets()
		return h.members
	}
	return h.IPSetMembers()
}

// IPSetMembers are the addresses of the ipsets, like Members.
func (h *Host) IPSetMembers() map[string]*packet.AddrSet { return h.packetSets().Addresses() }

// WithMembersOf is the host with the entries that sets of the same name and type have on
// another.
func (h *Host) WithMembersOf(other *Host) *Host {
	out := *h
	out.forget()
	if h.NFTables() {
		out.NFT = h.tableWithMembersOf(other)
	}
	out.Sets = h.Sets.Overlay(other.Sets, func(name string) bool {
		a, b := h.Sets.Set(name), other.Sets.Set(name)
		return a == nil || a.Type == b.Type && a.Family == b.Family
	})
	return &out
}

// Copy is the same host for a goroutine of its own: what is computed on first use, here and in the
// tables, is computed for each again. They share the rules, sets and files, which nobody changes.
func (h *Host) Copy() *Host {
	out := *h
	out.forget()
	for _, tables := range []*map[ir.Family]*iptables.Ruleset{&out.Rules, &out.Other} {
		copies := map[ir.Family]*iptables.Ruleset{}
		for f, rules := range *tables {
			if rules != nil {
				copies[f] = rules.Clone()
			}
		}
		*tables = copies
	}
	return &out
}

// forget drops what is computed on first use.
func (h *Host) forget() {
	h.ipsets, h.programs, h.hooks, h.tableSets, h.members, h.conditions = nil, nil, nil, nil, nil, nil
}

// DistinguishSets adds the name of the host to the names of sets that have other addresses on
// the one host than on the other, so that messages can refer to each.
func DistinguishSets(a, b *Host) {
	for name, old := range a.Members() {
		if now := b.Members()[name]; now != nil && !now.Equal(old) && now.Name == old.Name {
			old.Name, now.Name = name+" as in "+a.Name, name+" as in "+b.Name
			if a.Name == b.Name {
				old.Name, now.Name = name+" (old)", name+" (new)"
			}
		}
	}
}
