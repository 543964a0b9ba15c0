package imported

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
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

func ruleText(r *iptables.Rule) string { return "-A " + r.Chain + " " + r.Text }
