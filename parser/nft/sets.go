package nft

import (
	"slices"
	"strings"
)

// set reads a set or map.
func (p *parser) set(t *Table, start token, isMap bool) {
	at := p.peek()
	s := &Set{Name: p.name(), Map: isMap, Range: p.span(start, at)}
	if t.Sets[s.Name] != nil {
		p.fail(at, "There is a set %s already in this table.", s.Name)
	}
	p.expect("{")
	timed := false
	for p.skipNewlines(); !p.accept("}"); p.skipNewlines() {
		first := p.peek()
		if first.kind == endOfText {
			p.unexpected(first, `"}"`)
		}
		if _, ok := p.stateful(); ok {
			p.end()
			continue // what each new element gets
		}
		p.next()
		switch {
		case first.is("type"):
			s.Type = p.setType()
		case first.is("typeof"):
			s.Type = p.setTypeOf()
		case first.is("flags"):
			for {
				s.Flags = append(s.Flags, p.word("a flag"))
				if !p.accept(",") {
					break
				}
			}
			slices.Sort(s.Flags)
		case first.is("size"):
			s.Size = p.number("a number of elements")
		case first.is("timeout"), first.is("gc-interval"):
			p.seconds()
			timed = true
		case first.is("policy"):
			p.word("memory or performance")
		case first.is("comment"):
			p.string("the comment")
		case first.is("auto-merge"):
			s.AutoMerge = true
		case first.is("elements"):
			if s.Type == "" {
				p.fail(first, "The type of a set is before its elements.")
			}
			p.expect("=")
			p.elements(s)
		default:
			p.unexpected(first, "a property of a set")
		}
		p.end()
	}
	if s.Type == "" {
		p.fail(at, "The set has no type.")
	}
	s.Changes = timed || s.Dynamic() || slices.Contains(s.Flags, "timeout")
	t.Sets[s.Name] = s
	p.end()
}

// setType reads ipv4_addr . inet_service : verdict.
func (p *parser) setType() string {
	words := []string{p.word("a type")}
	for p.peek().kind == word {
		words = append(words, p.next().text)
	}
	return strings.Join(words, " ")
}

// setTypeOf reads the fields that a type is written as. Those of addresses are of the types of
// addresses, any other type stays as it is written.
func (p *parser) setTypeOf() string {
	switch text := p.setType(); text {
	case "ip saddr", "ip daddr":
		return "ipv4_addr"
	case "ip6 saddr", "ip6 daddr":
		return "ipv6_addr"
	default:
		return "typeof " + text
	}
}

// elements reads the elements of a named set in braces: plain addresses into s.Addresses, all
// others into s.Elem.
func (p *parser) elements(s *Set) {
	p.expect("{")
	bits := addressBits(s.Type)
	for n := 0; ; n++ {
		if bits != 0 && !s.Map {
			p.plainElements(s, bits)
		}
		p.skipNewlines()
		if p.accept("}") {
			break
		}
		at := p.peek()
		e := p.element(s.Map, func(key any) {
			if bits != 0 && !isAddressValue(key, bits) {
				p.fail(at, "Instead of an element of type %s here is %s.", s.Type, Value(key))
			}
		})
		s.Elem = append(s.Elem, e)
		p.skipNewlines()
		if !p.accept(",") {
			p.expect("}")
			break
		}
	}
	if bits != 0 && !s.Map {
		s.compact()
	}
}

// plainElements reads addresses, networks and ranges as long as nothing but a comma follows
// them. This is most of the text of large sets.
func (p *parser) plainElements(s *Set, bits int) {
	start := p.peek()
	p.reset(start)
	at, line, lineStart := start.start, start.line, start.lineStart
	for {
		from := at
		for at < len(p.text) && !endsWord[p.text[at]] {
			at++
		}
		end := at
		if end == len(p.text) || p.text[end] != ',' {
			return
		}
		first, last, ok := readRange(p.text[from:end], bits)
		if !ok {
			return
		}
		s.Addresses.add(first, last)
		for at++; at < len(p.text); at++ {
			switch p.text[at] {
			case '\n':
				line, lineStart = line+1, at+1
				continue
			case ' ', '\t', '\r':
				continue
			}
			break
		}
		p.at, p.line, p.lineStart = at, line, lineStart
	}
}
