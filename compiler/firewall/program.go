package firewall

import (
	"maps"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/dump"
)

// Program returns the rules of a family that packets meet from a chain on. A chain
// that is not there is an empty one.
func (s *State) Program(f ir.Family, start string) *packet.Program {
	t := s.Filter(f)
	if t == nil {
		t = &dump.Table{Name: "filter"}
	}
	if t.Chain(start) == nil {
		t = &dump.Table{Name: t.Name, Chains: append([]*dump.Chain{{Name: start}}, t.Chains...)}
	}
	return s.program(t, f, start)
}

// SecondLine returns the rules of the security table, into which apply.sh puts the
// refusals once more; nil if it has not.
func (s *State) SecondLine(f ir.Family) *packet.Program {
	if s.Rules[f] == nil {
		return nil
	}
	t := s.Rules[f].Table("security")
	if t == nil || t.Chain(OwnPrefix) == nil || t.Chain("FORWARD") == nil {
		return nil
	}
	return s.program(t, f, "FORWARD")
}

func (s *State) program(t *dump.Table, f ir.Family, start string) *packet.Program {
	toHost := start == GuardChain || start == "INPUT"
	p := s.programFrom(t, f, onlyJump(t, start))
	p.ToHost = toHost
	return p
}

// programFrom is the program that begins in a chain of a table, whatever that chain does.
func (s *State) programFrom(t *dump.Table, f ir.Family, start string) *packet.Program {
	members := s.members()
	p := packet.FromDump(reachable(t, start), f, start, members.known)
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			for i, m := range r.Matches {
				r.Matches[i] = members.resolve(m)
			}
		}
	}
	return p
}

// onlyJump follows a chain that does nothing but hand all packets to a chain of
// ours: what returns from there ends as if it had started there.
func onlyJump(t *dump.Table, start string) string {
	c := t.Chain(start)
	if len(c.Rules) == 0 || len(c.Rules) == 2 && !DockersReturn(c, 1) || len(c.Rules) > 2 {
		return start
	}
	if to := c.Rules[0].Jump; ownChain(to) && jumpsTo(c.Rules[0], to) && t.Chain(to) != nil {
		return to
	}
	return start
}

// reachable leaves out the chains that no packet comes to from start.
func reachable(t *dump.Table, start string) *dump.Table {
	out := &dump.Table{Name: t.Name}
	byName := make(map[string]*dump.Chain, len(t.Chains))
	for _, c := range t.Chains {
		byName[c.Name] = c
	}
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		c := byName[name]
		if c == nil || seen[name] {
			return
		}
		seen[name] = true
		out.Chains = append(out.Chains, c)
		for _, r := range c.Rules {
			visit(r.Jump)
		}
	}
	visit(start)
	return out
}

// members is what is known of the sets of a state.
type members struct {
	known map[string]*packet.AddrSet
	// lists are those list:sets of which some members are not known.
	lists map[packet.Cond]packet.Cond
}

func (s *State) members() *members {
	m := &members{lists: map[packet.Cond]packet.Cond{}}
	m.known = s.Members()
	for _, name := range s.Sets.Names() {
		if s.Sets.Set(name).Type != string(ir.ListSet) || m.known[name] != nil {
			continue
		}
		for _, end := range []packet.End{packet.Source, packet.Destination} {
			m.lists[packet.InUnknownSet(name, end)] = s.anyMember(m, name, end)
		}
	}
	return m
}

// Members are the addresses of the sets whose members are known, by name.
func (s *State) Members() map[string]*packet.AddrSet {
	if s.known == nil {
		s.known = packet.DumpSets(s.Sets)
		maps.DeleteFunc(s.known, func(name string, _ *packet.AddrSet) bool { return s.othersFill(name) })
	}
	return s.known
}

// TellApart adds to the names of sets that hold other addresses in a than in b
// which of the two they are of: "the set friends" would be two things.
func TellApart(a, b *State) {
	for name, old := range a.Members() {
		if now := b.Members()[name]; now != nil && !now.Equal(old) && now.Name == old.Name {
			old.Name, now.Name = name+" (old)", name+" (new)"
		}
	}
}

// anyMember is the condition of being in any member of a list:set.
func (s *State) anyMember(m *members, list string, end packet.End) packet.Cond {
	var any packet.Either
	for e := range s.Sets.Set(list).Entries() {
		if set := m.known[e.Text]; set != nil {
			any = append(any, packet.Addr{End: end, In: set})
		} else {
			any = append(any, packet.InUnknownSet(e.Text, end))
		}
	}
	return any
}

// othersFill tells whether the members of a set, or of a member of it, are for
// others to say. Of a host they are known all the same.
func (s *State) othersFill(name string) bool {
	if !s.Kind.Compiled() {
		return false
	}
	if s.Unmanaged[name] {
		return true
	}
	set := s.Sets.Set(name)
	if set == nil || set.Type != string(ir.ListSet) {
		return false
	}
	for e := range set.Entries() {
		if s.othersFill(e.Text) {
			return true
		}
	}
	return false
}

// resolve writes out the lists of which some members are known.
func (m *members) resolve(c packet.Cond) packet.Cond {
	switch c := c.(type) {
	case packet.Opaque:
		if any, ok := m.lists[c]; ok {
			return any
		}
	case packet.Not:
		return packet.Not{C: m.resolve(c.C)}
	case packet.Both:
		out := make(packet.Both, len(c))
		for i, x := range c {
			out[i] = m.resolve(x)
		}
		return out
	case packet.Either:
		out := make(packet.Either, len(c))
		for i, x := range c {
			out[i] = m.resolve(x)
		}
		return out
	}
	return c
}
