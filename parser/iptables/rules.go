package iptables

import (
	"github.com/hashicorp/hcl/v2"
)

// Family is the address family a file of rules is for. Rules do not say it:
// iptables-save and ip6tables-save print the same grammar.
type Family int

// The families; the zero Family means that none was said.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// RulesFile is a file for iptables-restore: table blocks in order.
type RulesFile struct {
	Name   string
	Blocks []*Block
}

// Block is one table of a file, from its *NAME line to COMMIT.
type Block struct {
	Table     string
	Commands  []*Command
	Committed bool      // there is a COMMIT line
	Broken    bool      // it has lines that could not be read; they are not in Commands
	Range     hcl.Range // of the *NAME line
	End       hcl.Range // of the COMMIT line, or of the last line where that is missing
}

// Op is what a command does, spelled as its short option; Declare is the :CHAIN line.
type Op string

// The commands of a rules file.
const (
	Declare     Op = ":"
	Append      Op = "-A"
	Insert      Op = "-I"
	Delete      Op = "-D"
	Replace     Op = "-R"
	Check       Op = "-C"
	NewChain    Op = "-N"
	DeleteChain Op = "-X"
	Flush       Op = "-F"
	Zero        Op = "-Z"
	SetPolicy   Op = "-P"
	Rename      Op = "-E"
)

// Counters are packet and byte counts, as in [5:500].
type Counters struct {
	Packets, Bytes uint64
}

// Command is one line of a table block.
type Command struct {
	Op       Op
	Chain    string    // "" for -F, -X and -Z of all chains
	Policy   string    // of Declare ("-" for a chain without one) and SetPolicy
	NewName  string    // of Rename
	Number   int       // of -I, -D, -R and -Z; 0 when none is written
	Rule     *Rule     // of -A, -I, -R, -C, and of -D without a number
	Counters *Counters // nil when none are written
	Only     Family    // -4 or -6: the other family's tool skips the line
	Range    hcl.Range
	Line     string // as written
}

// Rule is a rule, its words sorted to the options and extensions they belong to.
type Rule struct {
	Chain   string
	Base    []Option // -s -d -i -o -p -f, in written order
	Matches []Match  // in written order; `-p tcp --dport 80` has an implied tcp
	Jump    string   // the word after -j or -g; "" for a rule that only counts
	Goto    bool     // it was -g
	Target  []Option // the options of -j's target
	Range   hcl.Range
	Text    string // the words after the chain name as written, single blanks, quoted as iptables-save does
}

// Match is one -m with the options that belong to it, wherever they stood.
type Match struct {
	Name    string
	Options []Option
	Implied bool // the file has no -m for it: -p brought it
	Range   hcl.Range
}

// Option is one option with its values, quotes taken away.
type Option struct {
	Name   string // the spelling iptables-save prints: "-s", "--dport"
	Not    bool
	Values []string
	// Opaque says that this package does not know the option, so that where its
	// values end is a guess: at the next word that looks like an option.
	Opaque bool
	Range  hcl.Range
}

// Value is the option's only value; "" where it has none or several.
func (o Option) Value() string {
	if len(o.Values) != 1 {
		return ""
	}
	return o.Values[0]
}

// Option returns the rule's base option of that name ("-s"), or nil.
func (r *Rule) Option(name string) *Option {
	return find(r.Base, name)
}

// Option returns the match's option of that name ("--dport"), or nil.
func (m *Match) Option(name string) *Option {
	return find(m.Options, name)
}

func find(opts []Option, name string) *Option {
	for i := range opts {
		if opts[i].Name == name {
			return &opts[i]
		}
	}
	return nil
}

// Sets returns the names of the sets that the rule's matches ask for.
func (r *Rule) Sets() []string {
	var out []string
	for i := range r.Matches {
		for _, o := range r.Matches[i].Options {
			if o.Name == "--match-set" && len(o.Values) > 0 {
				out = append(out, o.Values[0])
			}
		}
	}
	return out
}
