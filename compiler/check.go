package compiler

import (
	"fmt"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// maxMatches bounds the matches of a rule: iptables-restore takes 248 words a rule
// (measured with 1.8.9), a set match has six of them, and the rest needs room.
const maxMatches = 36

// checkOperands checks each rule against what the kernel's tools take without
// complaint and then never, or always, match: a set of the other family or with
// more dimensions than flags, an address of the other family, ports without their
// protocol.
func (c *compilation) checkOperands() {
	sets := map[string]*ir.Set{}
	for _, s := range c.out.Sets {
		if other, dup := sets[s.Name]; dup {
			c.internal(s.Origin.Range, "two sets named %q, the other from %s:%d", s.Name, other.Origin.Range.Filename, other.Origin.Range.Start.Line)
		}
		sets[s.Name] = s
	}
	for _, p := range c.out.Programs {
		for _, chain := range p.Chains {
			for _, r := range chain.Rules {
				if len(r.Matches) > maxMatches {
					c.error(diag.CodeTooMany, r.Origin.Range, "too many sets in one rule", "It needs %d conditions, and one rule of iptables can hold %d. Join sets into one ipset.", len(r.Matches), maxMatches)
					continue
				}
				if problem := operandProblem(p, r, sets); problem != "" {
					c.internal(r.Origin.Range, "%q: %s", r.Comment(), problem)
				}
			}
		}
	}
}

func operandProblem(p *ir.Program, r *ir.Rule, sets map[string]*ir.Set) string {
	var protocol uint8
	for _, m := range r.Matches {
		switch m := m.(type) {
		case ir.Address:
			if m.Prefix.Addr().Is4() != (p.Family == ir.IPv4) || m.Prefix.Bits() == 0 || m.Prefix != m.Prefix.Masked() {
				return fmt.Sprintf("address %s in a rule of %s", m.Prefix, p.Family)
			}
		case ir.Protocol:
			if m.Number == 0 {
				return "protocol 0"
			}
			protocol = m.Number
		case ir.Ports:
			if m.Protocol != protocol {
				return "ports without their protocol"
			}
		case ir.ICMP:
			if m.Family != p.Family {
				return "ICMP type of the other family"
			}
		case ir.Conntrack:
			if m.OrigDstPort != nil && (protocol == 0 || m.Dir != ir.CTOriginal) {
				return "published port without protocol or direction"
			}
			if m.OrigDst.IsValid() && m.OrigDst.Is4() != (p.Family == ir.IPv4) {
				return "published address of the other family"
			}
		case ir.SetMatch:
			switch set := sets[m.Set]; {
			case set == nil:
				return fmt.Sprintf("set %q is not made", m.Set)
			case set.Family != p.Family:
				return fmt.Sprintf("set %q is of the other family", m.Set)
			case set.Type.Dimensions() != 1:
				return fmt.Sprintf("set %q takes %d flags, the match has 1", m.Set, set.Type.Dimensions())
			}
		}
	}
	if reject, ok := r.Verdict.(ir.Reject); ok && reject.With == "tcp-reset" && protocol != 6 {
		return "tcp-reset without protocol tcp"
	}
	return ""
}
