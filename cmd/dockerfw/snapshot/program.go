package snapshot

import (
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Program returns the rules of a family that packets meet from a chain on. A chain
// that is not there is an empty one.
func (s *State) Program(f ir.Family, start string) *packet.Program {
	t := s.Filter(f)
	if t == nil {
		t = &iptables.Table{Name: "filter"}
	}
	if t.Chain(start) == nil {
		t = &iptables.Table{Name: t.Name, Chains: append([]*iptables.Chain{{Name: start}}, t.Chains...)}
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

func (s *State) program(t *iptables.Table, f ir.Family, start string) *packet.Program {
	toHost := start == GuardChain || start == "INPUT"
	p := s.programFrom(t, f, onlyJump(t, start))
	p.ToHost = toHost
	return p
}

// programFrom is the program that begins in a chain of a table, whatever that chain does.
func (s *State) programFrom(t *iptables.Table, f ir.Family, start string) *packet.Program {
	var beside []*iptables.Table
	if s.Rules[f] != nil {
		beside = s.Rules[f].Tables
	}
	p := netfilter.Program(reachable(t, start), f, start, s.ipsets(), beside...)
	return p
}

// onlyJump follows a chain that does nothing but hand all packets to a chain of
// ours: what returns from there ends as if it had started there.
func onlyJump(t *iptables.Table, start string) string {
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
func reachable(t *iptables.Table, start string) *iptables.Table {
	out := &iptables.Table{Name: t.Name}
	byName := make(map[string]*iptables.Chain, len(t.Chains))
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

// ipsets are the sets of the state. What others fill is not known of what was compiled;
// of a host it is.
func (s *State) ipsets() *netfilter.Sets {
	if s.known == nil {
		s.known = netfilter.NewSets(s.Sets, func(name string) bool { return s.Kind.Compiled() && s.Unmanaged[name] })
	}
	return s.known
}

// Members are the addresses of the sets that are no more than addresses and whose
// members are known, by name.
func (s *State) Members() map[string]*packet.AddrSet { return s.ipsets().Addresses() }

// TellApart adds to the names of sets that hold other addresses in a than in b
// which of the two they are of: "the set friends" would be two things.
func TellApart(a, b *State) {
	for name, old := range a.Members() {
		if now := b.Members()[name]; now != nil && !now.Equal(old) && now.Name == old.Name {
			old.Name, now.Name = name+" (old)", name+" (new)"
		}
	}
}
