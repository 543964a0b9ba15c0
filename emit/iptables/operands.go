package iptables

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// maxMatches limits the matches of a rule: iptables-restore accepts 248 words in a rule
// (docs/contributing/netfilter.md, "Restore lines"), and a set match has six.
const maxMatches = 36

// checkOperands reports operands that the kernel's tools accept without an error although
// the rule then matches never or always: a set or an address of the other family, ports
// without their protocol.
func (l *legalization) checkOperands() {
	sets := map[string]*Set{}
	for _, s := range l.out.Sets {
		if other, dup := sets[s.Name]; dup {
			l.internal(s.Origin.Range, "two sets named %q, the other from %s:%d", s.Name, other.Origin.Range.Filename, other.Origin.Range.Start.Line)
		}
		sets[s.Name] = s
	}
	for _, p := range l.out.Programs {
		for _, chain := range p.Chains {
			for _, r := range chain.Rules {
				if len(r.Matches) > maxMatches {
					l.error(diag.CodeTooMany, r.Origin.Range, "too many sets in one rule", "The block compiles to a rule with %d matches, and iptables accepts at most %d. Combine the sets that it lists into one ipset.", len(r.Matches), maxMatches)
					continue
				}
				if problem := operandProblem(p.Family, chain.Protocol, r, sets); problem != "" {
					l.internal(r.Origin.Range, "%q: %s", r.ID.Comment(), problem)
				}
			}
		}
	}
}

// operandProblem returns the first invalid operand of a rule, "" if there is none. inChain is the
// protocol of all packets that get to its chain; 0 if it is not known.
func operandProblem(family ir.Family, inChain uint8, r *Rule, sets map[string]*Set) string {
	var protocol uint8
	for _, m := range r.Matches {
		switch m := m.(type) {
		case Address:
			if m.Prefix.Addr().Is4() != (family == ir.IPv4) || m.Prefix.Bits() == 0 || m.Prefix != m.Prefix.Masked() {
				return fmt.Sprintf("address %s in a rule of %s", m.Prefix, family)
			}
		case Protocol:
			if m.Number == 0 {
				return "protocol 0"
			}
			protocol = m.Number
		case Ports:
			if m.Protocol != protocol {
				return "ports without their protocol"
			}
		case ICMP:
			if m.Family != family {
				return "ICMP type of the other family"
			}
		case Conntrack:
			if m.OrigDstPort != nil && (protocol == 0 && inChain == 0 || m.Dir != ir.CTOriginal) {
				return "published port without protocol or direction"
			}
			if m.OrigDst.IsValid() && m.OrigDst.Is4() != (family == ir.IPv4) {
				return "published address of the other family"
			}
		case SetMatch:
			switch set := sets[m.Set]; {
			case set == nil:
				return fmt.Sprintf("set %q does not exist", m.Set)
			case set.Family != family:
				return fmt.Sprintf("set %q is of the other family", m.Set)
			}
		case Time:
			// 1970 begins with 0, which means no end.
			if m.Last.Year() <= 1970 || m.Last.Year() > 2038 || m.Last.Nanosecond() != 0 {
				return fmt.Sprintf("a rule that ends with %s", m.Last)
			}
		case Interface, HashLimit, ConnLimit, Limit:
			// Every value of these types is valid in every rule.
		default:
			panic(fmt.Sprintf("iptables: no check of the operands of %T", m))
		}
	}
	if reject, ok := r.Verdict.(Reject); ok && reject.With == "tcp-reset" && protocol != 6 {
		return "tcp-reset without protocol tcp"
	}
	return ""
}

func (l *legalization) internal(rng hcl.Range, format string, args ...any) {
	l.diags = append(l.diags, diag.Internal(rng, format, args...))
}
