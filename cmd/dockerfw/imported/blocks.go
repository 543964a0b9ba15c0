package imported

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// block is an accept or deny block, or a comment about rules that the policy does not have.
type block struct {
	deny, reject bool
	literals     literals
	// interfaces are instead of those of the host; nil for these.
	interfaces, outInterfaces []string
	rules                     []*iptables.Rule
	limit                     *limit
	// match is what limit was made of.
	match  *iptables.Match
	log    *iptables.Rule
	family ir.Family
	// why: the block is only a comment, with the reason.
	why string
	// note is what the block does not say of the rule.
	note string
}

// refusal is what the default does, and except which addresses; none: it refuses nothing.
type refusal struct {
	action packet.Kind
	allow  []addresses
	rules  []*iptables.Rule
	log    *iptables.Rule
}

// direction is the blocks for packets that enter, or that leave.
type direction struct {
	blocks []*block
	rest   refusal
	// established: packets of open sessions pass first. recheck: only replies do.
	established, recheck bool
	dropInvalid          bool
	// verdicts are those of rules that let packets through.
	accepts, returns int
}

func (d *direction) refuses() bool {
	return d.rest.action != packet.Docker || slices.ContainsFunc(d.blocks, func(b *block) bool { return b.deny && b.why == "" })
}

// builder makes the blocks of a direction from the rules of a family.
type builder struct {
	family   ir.Family
	external []string
	egress   bool
	out      direction
	// passed are the conditions of rules that let packets through so far, which later denies must not
	// match: in a policy denies come first.
	passed []*block
	// closed are rules that refuse all packets, or all but those of some addresses, on some of the
	// external interfaces.
	closed []closing
}

// closing is a rule that refuses everything on some interfaces, with the rules that let packets
// through before it.
type closing struct {
	block  *block
	allow  []addresses
	passed int
}

// project adapts a rule to packets of the direction. ok is false if it does not match any.
func (b *builder) project(l *literals) (in, out []string, ok bool) {
	if b.egress {
		if len(l.in) > 0 && b.covered(l.in) != nil {
			return nil, nil, false
		}
		if out, ok = b.externals(l.out, l.notOut); !ok {
			return nil, nil, false
		}
		for _, name := range l.notIn {
			if !slices.ContainsFunc(b.external, func(e string) bool { return e == name || parser.Covers(name, e) }) {
				l.other = append(l.other, "not (arriving on "+name+")")
			}
		}
		return l.in, out, true
	}
	if in, ok = b.externals(l.in, l.notIn); !ok {
		return nil, nil, false
	}
	if len(l.out) > 0 && b.covered(l.out) != nil {
		return nil, nil, false // from outside to outside
	}
	for _, name := range l.notOut {
		if !slices.ContainsFunc(b.external, func(e string) bool { return e == name || parser.Covers(name, e) }) {
			l.other = append(l.other, "not (leaving on "+name+")")
		}
	}
	return in, l.out, true
}

// covered are the external interfaces that each of some patterns covers.
func (b *builder) covered(patterns []string) []string {
	var out []string
	for _, e := range b.external {
		if !slices.ContainsFunc(patterns, func(p string) bool { return p != e && !parser.Covers(p, e) && p != "+" }) {
			out = append(out, e)
		}
	}
	return out
}

// externals are the external interfaces for which conditions hold; nil if that is each of them.
func (b *builder) externals(are, not []string) (out []string, ok bool) {
	out = b.covered(are)
	for _, name := range are {
		for _, e := range b.external {
			if e != name && parser.Covers(e, name) && !slices.Contains(out, name) {
				out = append(out, name) // one of several that a pattern is about
			}
		}
	}
	for _, name := range not {
		out = slices.DeleteFunc(out, func(e string) bool { return e == name || parser.Covers(name, e) || name == "+" })
	}
	if len(out) == len(b.external) && len(b.covered(are)) == len(b.external) {
		return nil, true
	}
	return out, len(out) > 0
}

func (b *builder) build(rules []*flat) direction {
	for i, r := range rules {
		l := read(r.conds, setNames(r.rules))
		if l.never {
			continue
		}
		for _, n := range r.not {
			if !b.exclude(&l, n, r) {
				l.other = append(l.other, "not ("+packet.All(n.conds).String()+")")
			}
		}
		in, out, ok := b.project(&l)
		if !ok {
			continue
		}
		if in, out, ok = b.notClosed(in, out); !ok {
			continue
		}
		one := &block{literals: l, interfaces: in, outInterfaces: out, rules: r.rules, log: r.log, family: b.family}
		one.limit, one.note = limitOf(r, &l)
		if l.limited && one.limit == nil {
			one.why = one.note
		}
		if len(r.limits) == 1 {
			one.match = r.limits[0]
		}
		if r.verdict.Kind == packet.Drop || r.verdict.Kind == packet.Reject {
			one.deny, one.reject = true, r.verdict.Kind == packet.Reject
			if b.refuse(one, rules[i+1:]) {
				break
			}
		} else if b.pass(one, r.verdict.Kind) {
			break
		}
	}
	b.openElsewhere()
	return b.out
}

// side are the interfaces that the direction is about.
func (b *builder) side(one *block) *[]string {
	if b.egress {
		return &one.outInterfaces
	}
	return &one.interfaces
}

// notClosed leaves out the interfaces on which a rule before has refused everything.
func (b *builder) notClosed(in, out []string) (_, _ []string, ok bool) {
	one := &block{interfaces: in, outInterfaces: out}
	side := b.side(one)
	left := *side
	if left == nil {
		left = b.external
	}
	before := len(left)
	for _, c := range b.closed {
		if len(c.allow) == 0 {
			left = slices.DeleteFunc(slices.Clone(left), func(name string) bool { return slices.Contains(*b.side(c.block), name) })
		}
	}
	if len(left) < before {
		*side = left
	}
	return one.interfaces, one.outInterfaces, len(left) > 0
}

// close adds a rule that refuses everything on some interfaces. done: that is all of them.
func (b *builder) close(one *block, allow []addresses) (done bool) {
	b.closed = append(b.closed, closing{one, allow, len(b.passed)})
	var names []string
	rest := refusal{action: packet.Drop, allow: allow}
	if one.reject {
		rest.action = packet.Reject
	}
	for _, c := range b.closed {
		if !sameAddresses(c.allow, allow) || c.block.reject != one.reject {
			return false
		}
		names = append(names, *b.side(c.block)...)
		rest.rules = append(rest.rules, c.block.rules...)
		if rest.log == nil {
			rest.log = c.block.log
		}
	}
	if slices.ContainsFunc(b.external, func(e string) bool { return !slices.Contains(names, e) }) {
		return false
	}
	b.out.rest, b.closed = rest, nil
	b.allowSources()
	return true
}

func sameAddresses(a, b []addresses) bool {
	return slices.EqualFunc(a, b, func(x, y addresses) bool {
		return x.not == y.not && slices.Equal(x.unknown, y.unknown) && slices.EqualFunc(x.sets, y.sets, (*packet.AddrSet).Equal)
	})
}

// openElsewhere adds denies for the rules that refuse everything on some interfaces, where the others
// stay open.
func (b *builder) openElsewhere() {
	all := b.passed
	for _, c := range b.closed {
		b.passed = all[:c.passed]
		b.deny(c.block)
	}
	b.closed = nil
	if b.out.rest.action == packet.Docker {
		// A RETURN before the end, where everything returns, has no effect.
		b.out.blocks = slices.DeleteFunc(b.out.blocks, func(one *block) bool {
			return !one.deny && one.why == "" && one.rules[len(one.rules)-1].Jump == "RETURN"
		})
	}
}

// exclude narrows a rule to packets that another one does not match.
func (b *builder) exclude(l *literals, other exception, r *flat) bool {
	o := read(other.conds, setNames(r.rules))
	without := exclusions(&block{literals: *l}, &block{literals: o, match: other.limit})
	if len(without) != 1 {
		return false
	}
	*l = without[0]
	return true
}

func setNames(rules []*iptables.Rule) []string {
	var out []string
	for _, r := range rules {
		out = append(out, r.Sets()...)
	}
	return out
}

// pass adds a rule that lets packets through. done: all others pass, too.
func (b *builder) pass(one *block, kind packet.Kind) (done bool) {
	l := &one.literals
	if kind == packet.Accept {
		b.out.accepts++
	} else {
		b.out.returns++
	}
	if l.states&^openSessions == 0 {
		switch {
		case l.matchesAll() && one.outInterfaces == nil && one.interfaces == nil && len(b.passed) == 0:
			b.out.established = true
		case l.states == ir.CTEstablished && l.dir == ir.CTReply:
			b.out.established, b.out.recheck = true, true
		}
		return false // the block established lets these through
	}
	l.states &= fresh
	if l.matchesAll() && one.why == "" && one.interfaces == nil && one.outInterfaces == nil && l.states&ir.CTNew != 0 {
		return true
	}
	if why := b.inexpressible(one); why != "" {
		one.why = why
	} else {
		b.passed = append(b.passed, one)
	}
	b.out.blocks = append(b.out.blocks, one)
	return false
}

// refuse adds a rule that refuses packets. done: no later rule matters, except for packets of other
// states.
func (b *builder) refuse(one *block, rest []*flat) (done bool) {
	l := &one.literals
	if l.states == ir.CTInvalid && l.matchesAll() && one.interfaces == nil && one.outInterfaces == nil && one.why == "" {
		b.out.dropInvalid = true
		return false
	}
	if l.states&fresh == 0 {
		one.why = "open sessions always pass in a policy"
		b.out.blocks = append(b.out.blocks, one)
		return false
	}
	l.states &= fresh
	other := one.outInterfaces
	if b.egress {
		other = one.interfaces
	}
	if side := b.side(one); one.why == "" && other == nil && l.states&ir.CTNew != 0 {
		names := *side
		if names == nil {
			names = b.external
		}
		closed := *one
		*b.side(&closed) = names
		switch {
		case l.matchesAll():
			return b.close(&closed, nil)
		case b.onlyOthersPass(l) && b.onlyPass(rest, names):
			a := b.end(l)[0]
			a.not = false
			return b.close(&closed, []addresses{a})
		}
	}
	b.deny(one)
	return false
}

// end are the addresses that allow of a default is about.
func (b *builder) end(l *literals) []addresses {
	if b.egress {
		return l.dst
	}
	return l.src
}

// onlyOthersPass reports whether a rule refuses everyone but some addresses.
func (b *builder) onlyOthersPass(l *literals) bool {
	rest := *l
	if b.egress {
		rest.dst = nil
	} else {
		rest.src = nil
	}
	end := b.end(l)
	return rest.matchesAll() && len(end) == 1 && end[0].not && l.states&ir.CTNew != 0
}

// onlyPass reports whether no rule of some refuses packets of the direction on some interfaces.
func (b *builder) onlyPass(rules []*flat, names []string) bool {
	return !slices.ContainsFunc(rules, func(r *flat) bool {
		l := read(r.conds, nil)
		in, out, ok := b.project(&l)
		side := *b.side(&block{interfaces: in, outInterfaces: out})
		ok = ok && (side == nil || slices.ContainsFunc(side, func(n string) bool { return slices.Contains(names, n) }))
		return ok && (r.verdict.Kind == packet.Drop || r.verdict.Kind == packet.Reject)
	})
}

// allowSources moves the rules that only list addresses, and leave them to Docker's rules, to allow
// of the default.
func (b *builder) allowSources() {
	var rules []*iptables.Rule
	defer func() { b.out.rest.rules = append(rules, b.out.rest.rules...) }()
	b.out.blocks = slices.DeleteFunc(b.out.blocks, func(one *block) bool {
		l := one.literals
		end := b.end(&l)
		rest := l
		rest.src, rest.dst = nil, nil
		if one.deny || one.why != "" || one.interfaces != nil || one.outInterfaces != nil || !rest.matchesAll() ||
			len(l.src)+len(l.dst) != 1 || len(end) != 1 || end[0].not || one.rules[len(one.rules)-1].Jump != "RETURN" {
			return false
		}
		b.out.rest.allow = append(b.out.rest.allow, end...)
		rules = append(rules, one.rules...)
		return true
	})
}

// maxDenies limits the blocks that a deny may become.
const maxDenies = 8

// deny adds a rule as one or several deny blocks, which do not match what rules before it let through.
func (b *builder) deny(one *block) {
	if why := b.inexpressible(one); why != "" && one.why == "" {
		one.why = why
	}
	if one.why != "" {
		b.out.blocks = append(b.out.blocks, one)
		return
	}
	all := []literals{one.literals}
	for _, p := range b.passed {
		var next []literals
		for _, l := range all {
			part := *one
			part.literals = l
			next = append(next, exclusions(&part, p)...)
		}
		if len(next) > maxDenies || slices.ContainsFunc(next, func(l literals) bool { return len(l.other) > 0 }) {
			one.why = fmt.Sprintf("rules before it let some of its packets through, and a deny overrides every accept: those before it are %s", ruleText(p.rules[len(p.rules)-1]))
			b.out.blocks = append(b.out.blocks, one)
			return
		}
		all = next
	}
	for _, l := range all {
		part := *one
		part.literals = l
		if l.above != nil {
			if part.limit, part.why = limitAbove(l.above); one.limit != nil {
				part.limit, part.why = nil, "a block has one limit"
			}
		}
		b.out.blocks = append(b.out.blocks, &part)
	}
}

// inexpressible is why the language has no block for a rule; "" if it has.
func (b *builder) inexpressible(one *block) string {
	l := &one.literals
	ports := l.dports != nil || l.sports != nil || l.origins != nil
	published := l.origins != nil || l.original != nil
	protocols := slices.DeleteFunc(slices.Clone(l.protocols), hasPorts)
	switch {
	case len(l.other) > 0:
		return "there is nothing for: " + strings.Join(l.other, "; ")
	case ports && (l.protocols == nil || len(protocols) > 0):
		return "ports need a protocol that Docker publishes"
	case onlyZero(l.dports) || onlyZero(l.sports) || onlyZero(l.origins):
		return "there is no port 0"
	case b.egress && published:
		return "published ports are about packets that enter"
	case l.states&ir.CTNew == 0:
		return "there is nothing for packets of these states alone"
	case !one.deny && l.above != nil:
		return "an accept is for what is below a limit"
	case l.dir == ir.CTReply:
		return "there is nothing for replies alone"
	case l.dnat && !published:
		return "there is nothing for all translated packets"
	case len(l.icmp) > 0 && !single(l.icmp):
		return "there is nothing for ranges of ICMP types"
	case b.family == ir.IPv4 && slices.ContainsFunc(slices.Concat(l.src, l.dst), func(a addresses) bool {
		return slices.ContainsFunc(a.unknown, func(name string) bool { return !keepsName(name) })
	}):
		return "the name of a set with unknown entries is the name of its block, which has other rules for names"
	case many(l.src) || many(l.dst):
		return "several lists of the same addresses must match at once"
	}
	return ""
}

// onlyZero reports whether no port of a list is one of the language.
func onlyZero(ranges []ir.PortRange) bool {
	return ranges != nil && !slices.ContainsFunc(ranges, func(r ir.PortRange) bool { return r.Last > 0 && r.First <= r.Last })
}

func hasPorts(n uint8) bool { return parser.Protocol{Number: n}.HasPorts() }

func single(types []packet.ICMPType) bool {
	return !slices.ContainsFunc(types, func(t packet.ICMPType) bool {
		return t.FirstType != t.LastType || t.FirstCode != t.LastCode && (t.FirstCode != 0 || t.LastCode != 255)
	})
}

// many reports whether addresses must be in several lists: an attribute is one list.
func many(all []addresses) bool {
	n := 0
	for _, a := range all {
		if !a.not {
			n++
		}
	}
	return n > 1
}

func ruleText(r *iptables.Rule) string { return "-A " + r.Chain + " " + r.Text }
