package iptables

import "strings"

// option is what is known of an option: how many values follow, how they are
// printed and how they are normalised.
type option struct {
	name    string
	aliases []string
	args    int
	quoting quoting
	inverts bool // base options only; an extension's may all stand after a !
	// value normalises one value; nil keeps it.
	value func(Family, string) string
}

// module is what is known of a match or target: its options in the order
// iptables-save prints them.
type module struct {
	options []option
	// tidy does what concerns more than one value: defaults that are printed or
	// not, options that are another in disguise.
	tidy func(Family, []Option) []Option
}

// option finds an option by any of its spellings. The nil module, of an unknown
// extension, has none.
func (m *module) option(name string) *option {
	if m == nil {
		return nil
	}
	return lookup(m.options, name)
}

func lookup(options []option, name string) *option {
	for i := range options {
		o := &options[i]
		if o.name == name {
			return o
		}
		for _, a := range o.aliases {
			if a == name {
				return o
			}
		}
	}
	return nil
}

// flags are options without values.
func flags(names ...string) []option {
	var out []option
	for _, n := range names {
		out = append(out, option{name: n, inverts: true})
	}
	return out
}

// takes is an option with that many values.
func takes(args int, name string, aliases ...string) option {
	return option{name: name, aliases: aliases, args: args, inverts: true}
}

func (o option) as(value func(Family, string) string) option { o.value = value; return o }
func (o option) quoted(how quoting) option                   { o.quoting = how; return o }

// ones are options with one value each that is kept as it is.
func ones(names ...string) []option {
	var out []option
	for _, n := range names {
		out = append(out, takes(1, n))
	}
	return out
}

func list(parts ...any) []option {
	var out []option
	for _, p := range parts {
		switch p := p.(type) {
		case option:
			out = append(out, p)
		case []option:
			out = append(out, p...)
		}
	}
	return out
}

// commandWords are the commands by every spelling.
var commandWords = map[string]Op{
	"-A": Append, "--append": Append,
	"-I": Insert, "--insert": Insert,
	"-D": Delete, "--delete": Delete,
	"-R": Replace, "--replace": Replace,
	"-C": Check, "--check": Check,
	"-N": NewChain, "--new-chain": NewChain, "--new": NewChain,
	"-X": DeleteChain, "--delete-chain": DeleteChain,
	"-F": Flush, "--flush": Flush,
	"-Z": Zero, "--zero": Zero,
	"-P": SetPolicy, "--policy": SetPolicy,
	"-E": Rename, "--rename-chain": Rename,
}

// baseOptions are the options every rule has, in the order iptables-save prints.
var baseOptions = []option{
	takes(1, "-s", "--source", "--src").as(addresses),
	takes(1, "-d", "--destination", "--dst").as(addresses),
	takes(1, "-i", "--in-interface"),
	takes(1, "-o", "--out-interface"),
	takes(1, "-p", "--protocol", "--proto").as(func(_ Family, s string) string { return protocolSpelling(s) }),
	{name: "-f", aliases: []string{"--fragment", "--fragments"}, inverts: true},
	{name: "-m", aliases: []string{"--match"}, args: 1},
	{name: "-j", aliases: []string{"--jump"}, args: 1},
	{name: "-g", aliases: []string{"--goto"}, args: 1},
	{name: "-c", aliases: []string{"--set-counters"}, args: 2},
	{name: "-t", aliases: []string{"--table"}, args: 1},
	{name: "-4", aliases: []string{"--ipv4"}},
	{name: "-6", aliases: []string{"--ipv6"}},
}

// abbreviated finds the one option that a name is cut short of, as the tools
// allow. An option cut short must not be taken for an unknown one of some match:
// it might be the rule's -j.
func abbreviated(options []option, name string) *option {
	var found *option
	for i := range options {
		o := &options[i]
		for _, full := range append([]string{o.name}, o.aliases...) {
			if !strings.HasPrefix(full, name) {
				continue
			}
			if found != nil && found != o {
				return nil
			}
			found = o
		}
	}
	return found
}

// standardVerdicts are what -j knows without an extension.
var standardVerdicts = map[string]bool{"ACCEPT": true, "DROP": true, "RETURN": true, "QUEUE": true}
