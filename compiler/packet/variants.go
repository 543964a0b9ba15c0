package packet

// MatchesMarks reports whether a rule of the program has a condition on a mark.
func (p *Program) MatchesMarks() bool {
	found := false
	for _, r := range p.Rules() {
		Walk(All(r.Matches), func(c Cond) bool {
			_, isMark := c.(Mark)
			found = found || isMark
			return !found
		})
	}
	return found
}

// ChangesMarks reports whether a rule of the program sets marks, or takes packets out of
// connection tracking.
func (p *Program) ChangesMarks() bool {
	for _, r := range p.Rules() {
		if len(r.Actions) > 0 {
			return true
		}
	}
	return false
}

// Refuses reports whether the program may drop or reject packets, or end with a target that
// is not followed.
func (p *Program) Refuses() bool {
	for _, r := range p.Rules() {
		if k := r.Verdict.Kind; k == Drop || k == Reject || k == Other {
			return true
		}
	}
	return p.Default.Kind != Accept
}

// MarksOnly returns the program for packets that it does not refuse: what marks it gives
// them.
func (p *Program) MarksOnly() *Program {
	out := p.mapRules(func(r *Rule) *Rule {
		if k := r.Verdict.Kind; k != Drop && k != Reject {
			return r
		}
		rule := *r
		rule.Verdict = Verdict{Kind: Continue}
		return &rule
	})
	out.Default = Verdict{Kind: Accept}
	return out
}

// MarksUnknown returns the program without knowledge of marks: neither of those that
// packets have before it, nor of those that it sets.
func (p *Program) MarksUnknown() *Program {
	out := p.Map(func(_ *Rule, c Cond) Cond {
		if m, ok := c.(Mark); ok {
			return m.opaque()
		}
		return c
	})
	for _, r := range out.Rules() {
		if len(r.Actions) > 0 && !r.untracks() {
			r.Actions = []Action{{Kind: LoseMark}}
		}
	}
	return out
}

// AfterSNAT returns the program for packets whose source may have been translated:
// conditions on it are opaque.
func (p *Program) AfterSNAT() *Program {
	return p.Map(func(_ *Rule, c Cond) Cond {
		a, isAddr := c.(Addr)
		port, isPort := c.(Port)
		if isAddr && a.End == Source || isPort && port.End == Source {
			return Opaque{Text: c.String() + " after SNAT"}
		}
		return c
	})
}

// FirstPackets returns the program for a chain of nat at another hook than DNAT: only the
// first packet of a connection passes it. That is a rule at index -1 of the chain.
func (p *Program) FirstPackets(table string) *Program {
	out := p.mapRules(func(r *Rule) *Rule { return r })
	first := &Rule{Matches: []Cond{Not{opensConnection}}, Verdict: Verdict{Kind: Accept}, Text: "not the first packet of a connection"}
	first.At = Origin{Table: table, Chain: out.Chains[0].Name, Rule: -1}
	out.Chains[0].Rules = append([]*Rule{first}, out.Chains[0].Rules...)
	return out
}
