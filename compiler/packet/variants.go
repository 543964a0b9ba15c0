package packet

// AsksMarks tells whether a rule of the program has a condition on a mark.
func (p *Program) AsksMarks() bool {
	asks := false
	for _, r := range p.Rules() {
		Walk(All(r.Matches), func(c Cond) bool {
			_, isMark := c.(Mark)
			asks = asks || isMark
			return !asks
		})
	}
	return asks
}

// ChangesMarks tells whether a rule of the program sets marks, or takes packets out of
// connection tracking.
func (p *Program) ChangesMarks() bool {
	for _, r := range p.Rules() {
		if len(r.Actions) > 0 {
			return true
		}
	}
	return false
}

// Refuses tells whether packets may end in the program.
func (p *Program) Refuses() bool {
	for _, r := range p.Rules() {
		if k := r.Verdict.Kind; k == Drop || k == Reject || k == Other {
			return true
		}
	}
	return p.Default.Kind != Accept
}

// MarksOnly is the program for packets that it does not drop: how it marks them.
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

// MarksUnknown is the program where nothing is known of marks: not those that packets have
// when they come to it, nor those that it sets.
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

// AfterSNAT is the program for packets whose source may have been translated: of conditions
// on it nothing is known.
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

// FirstPackets is the program for a chain of nat which is not where DNAT is: only the first
// packet of a connection meets it. The rule that says so is at rule -1 of the chain.
func (p *Program) FirstPackets(table string) *Program {
	out := p.mapRules(func(r *Rule) *Rule { return r })
	first := &Rule{Matches: []Cond{Not{opensConnection}}, Verdict: Verdict{Kind: Accept}, Text: "not the first packet of a connection"}
	first.At = Origin{Table: table, Chain: out.Chains[0].Name, Rule: -1}
	out.Chains[0].Rules = append([]*Rule{first}, out.Chains[0].Rules...)
	return out
}
