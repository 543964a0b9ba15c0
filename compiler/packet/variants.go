package packet

import "github.com/dockerfw/dockerfw/compiler/ir"

// AsksMarks tells whether a rule of the program has a condition on a mark.
func (p *Program) AsksMarks() bool {
	asks := false
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			for _, m := range r.Matches {
				rewrite(m, func(leaf Cond) Cond {
					if _, ok := leaf.(Mark); ok {
						asks = true
					}
					return leaf
				})
			}
		}
	}
	return asks
}

// MarksOnly is the program for packets that it does not drop: how it marks them.
func (p *Program) MarksOnly() *Program {
	out := &Program{Family: p.Family, Default: Verdict{Kind: Accept}, ToHost: p.ToHost}
	for _, c := range p.Chains {
		chain := &Chain{Name: c.Name}
		for _, r := range c.Rules {
			if k := r.Verdict.Kind; k == Drop || k == Reject {
				rule := *r
				rule.Verdict = Verdict{Kind: Continue}
				r = &rule
			}
			chain.Rules = append(chain.Rules, r)
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}

// ChangesMarks tells whether a rule of the program sets marks, or takes packets out of
// connection tracking.
func (p *Program) ChangesMarks() bool {
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			if len(r.Actions) > 0 {
				return true
			}
		}
	}
	return false
}

// MarksUnknown is the program where nothing is known of marks: not those that packets have
// when they come to it, nor those that it sets.
func (p *Program) MarksUnknown() *Program {
	out := p.rewritten(func(c Cond) Cond {
		if m, ok := c.(Mark); ok {
			return m.opaque()
		}
		return c
	})
	for _, c := range out.Chains {
		for _, r := range c.Rules {
			if len(r.Actions) > 0 && !r.untracks() {
				r.Actions = []Action{{Kind: LoseMark}}
			}
		}
	}
	return out
}

// rewritten is the program with each condition that is not made of others replaced.
func (p *Program) rewritten(leaf func(Cond) Cond) *Program {
	out := &Program{Family: p.Family, Default: p.Default, ToHost: p.ToHost}
	for _, c := range p.Chains {
		chain := &Chain{Name: c.Name}
		for _, r := range c.Rules {
			rule := *r
			rule.Matches = make([]Cond, len(r.Matches))
			for i, m := range r.Matches {
				rule.Matches[i] = rewrite(m, leaf)
			}
			chain.Rules = append(chain.Rules, &rule)
		}
		out.Chains = append(out.Chains, chain)
	}
	return out
}

// AfterSNAT is the program for packets whose source may have been translated: of conditions
// on it nothing is known.
func (p *Program) AfterSNAT() *Program {
	return p.rewritten(func(c Cond) Cond {
		switch x := c.(type) {
		case Addr:
			if x.End == Source {
				return Opaque{Text: c.String() + " after SNAT"}
			}
		case Port:
			if x.End == Source {
				return Opaque{Text: c.String() + " after SNAT"}
			}
		}
		return c
	})
}

// FirstPackets is the program for a chain of nat which is not where DNAT is: only the first
// packet of a connection meets it. The rule that says so is at rule -1 of the chain.
func (p *Program) FirstPackets(table string) *Program {
	out := p.rewritten(func(c Cond) Cond { return c })
	first := &Rule{Matches: []Cond{Not{Any{State{ir.CTNew}, All{State{ir.CTRelated}, Opaque{Text: firstRelated}}}}}, Verdict: Verdict{Kind: Accept}, Text: "not the first packet of a connection"}
	first.At = Origin{Table: table, Chain: out.Chains[0].Name, Rule: -1}
	out.Chains[0].Rules = append([]*Rule{first}, out.Chains[0].Rules...)
	return out
}

// Refuses tells whether packets may end in the program.
func (p *Program) Refuses() bool {
	if p.Default.Kind != Accept {
		return true
	}
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			if k := r.Verdict.Kind; k == Drop || k == Reject || k == Other {
				return true
			}
		}
	}
	return false
}
