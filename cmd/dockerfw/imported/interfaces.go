package imported

import (
	"slices"

	"github.com/dockerfw/dockerfw/parser"
)

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
