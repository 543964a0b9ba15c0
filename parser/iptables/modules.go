package iptables

import "strings"

// option describes one option: how many values follow it, how they are quoted and how
// they are normalized.
type option struct {
	name    string
	aliases []string
	args    int
	quoting quoting
	inverts bool // may follow a !; true for all options of matches and targets
	// value normalizes one value; nil keeps it as written.
	value func(Family, string) string
}

// module describes a match or target: its options in the order in which iptables-save
// prints them.
type module struct {
	options []option
	// tidy normalizes what concerns more than one value: defaults that iptables-save
	// prints or leaves out, and options that it prints as another one.
	tidy func(Family, []Option) []Option
}

// option returns an option by any of its spellings, or nil. The nil module, of an
// unknown match or target, has no options.
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

// flags describes options without values.
func flags(names ...string) []option {
	var out []option
	for _, n := range names {
		out = append(out, option{name: n, inverts: true})
	}
	return out
}

// takes describes an option with the given number of values.
func takes(args int, name string, aliases ...string) option {
	return option{name: name, aliases: aliases, args: args, inverts: true}
}

func (o option) as(value func(Family, string) string) option { o.value = value; return o }
func (o option) quoted(how quoting) option                   { o.quoting = how; return o }

// ones describes options with one value each that is not normalized.
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

// commandWords are all spellings of commands.
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

// baseOptions are the options that need no match or target, in the order in which
// iptables-save prints them.
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

// abbreviated returns the only option that begins with name, as getopt_long accepts it,
// or nil. An abbreviation must not be read as an unknown option of some match: it could
// be the --jump of the rule.
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

// standardVerdicts are the targets that are built into iptables.
var standardVerdicts = map[string]bool{"ACCEPT": true, "DROP": true, "RETURN": true, "QUEUE": true}
