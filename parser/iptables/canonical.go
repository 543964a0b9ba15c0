package iptables

import (
	"slices"
	"strings"
)

// Canonical returns the rule, without its chain, as iptables-save would print it
// (docs/contributing/netfilter.md, "Canonical form"). Rules that iptables treats as
// equal have equal text here, except for names that a host resolves (users, services,
// hosts) and for opaque options.
func (r *Rule) Canonical(family Family) string {
	n := Rule{Jump: r.Jump, Goto: r.Goto, Base: make([]Option, 0, len(r.Base)), Matches: make([]Match, 0, len(r.Matches))}
	for _, o := range r.Base {
		o = normalize(family, lookup(baseOptions, o.Name), o)
		if !matchesAll(o) {
			n.Base = append(n.Base, o)
		}
	}
	sortOptions(baseOptions, n.Base)
	for _, m := range r.Matches {
		m.Options = normalizeAll(family, matchModules[m.Name], m.Options)
		n.Matches = append(n.Matches, m)
	}
	n.Target = normalizeAll(family, targetModules[r.Jump], r.Target)
	if r.Jump == "NOTRACK" {
		n.Jump, n.Target = "CT", []Option{{Name: "--notrack"}}
	}
	return n.format()
}

// matchesAll reports whether a base option matches every packet, so that
// iptables-save leaves it out.
func matchesAll(o Option) bool {
	if o.Not {
		return false
	}
	switch o.Name {
	case "-s", "-d":
		return o.Value() == "0.0.0.0/0" || o.Value() == "::/0" || o.Value() == "0.0.0.0/0.0.0.0"
	case "-p":
		return o.Value() == "all"
	case "-i", "-o":
		return o.Value() == "+"
	}
	return false
}

func normalize(family Family, known *option, o Option) Option {
	if known == nil || known.value == nil {
		return o
	}
	values := make([]string, len(o.Values))
	for i, v := range o.Values {
		values[i] = known.value(family, v)
	}
	o.Values = values
	return o
}

func normalizeAll(family Family, m *module, opts []Option) []Option {
	if m == nil {
		return opts
	}
	out := make([]Option, 0, len(opts))
	for _, o := range opts {
		out = append(out, normalize(family, m.option(o.Name), o))
	}
	if m.tidy != nil {
		out = m.tidy(family, out)
	}
	sortOptions(m.options, out)
	return out
}

// sortOptions puts known options into the order in which iptables-save prints them,
// followed by unknown ones in the order written.
func sortOptions(known []option, opts []Option) {
	rank := func(o Option) int {
		i := slices.IndexFunc(known, func(k option) bool { return k.name == o.Name })
		if i < 0 || o.Opaque {
			return len(known)
		}
		return i
	}
	slices.SortStableFunc(opts, func(a, b Option) int { return rank(a) - rank(b) })
}

// format returns the text of the rule, in the order of its fields.
func (r *Rule) format() string {
	words := make([]string, 0, 32)
	for _, o := range r.Base {
		words = formatOption(words, lookup(baseOptions, o.Name), o)
	}
	for _, m := range r.Matches {
		words = append(words, "-m", quote(m.Name, bare))
		for _, o := range m.Options {
			words = formatOption(words, matchModules[m.Name].option(o.Name), o)
		}
	}
	if r.Jump != "" {
		words = append(words, map[bool]string{false: "-j", true: "-g"}[r.Goto], quote(r.Jump, bare))
	}
	for _, o := range r.Target {
		words = formatOption(words, targetModules[r.Jump].option(o.Name), o)
	}
	return strings.Join(words, " ")
}

func formatOption(words []string, known *option, o Option) []string {
	if o.Not {
		words = append(words, "!")
	}
	words = append(words, quote(o.Name, bare))
	how := bare
	if known != nil && !o.Opaque {
		how = known.quoting
	}
	for _, v := range o.Values {
		words = append(words, quote(v, how))
	}
	return words
}
