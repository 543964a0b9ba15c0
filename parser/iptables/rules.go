package iptables

import (
	"github.com/hashicorp/hcl/v2"
)

// Family is the address family of rules. A file does not contain it: iptables-save and
// ip6tables-save print the same grammar.
type Family int

// The families. The zero Family is an unknown one.
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
	Broken    bool      // some lines could not be read; they are not in Commands
	Range     hcl.Range // of the *NAME line
	End       hcl.Range // of the COMMIT line, or of the last line if it is missing
}

// Op is the kind of a command: its short option, or Declare for a :CHAIN line.
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
	Number   int       // of -I, -D, -R and -Z; 0 if there is none
	Rule     *Rule     // of -A, -I, -R, -C, and of -D without a number
	Counters *Counters // nil if there are none
	Only     Family    // -4 or -6: the other family's tool skips the line
	Range    hcl.Range
	Line     string // as written
}

// Rule is a rule, with each option assigned to the match or target it belongs to.
type Rule struct {
	Chain   string
	Base    []Option // -s -d -i -o -p -f, in the order written
	Matches []Match  // in the order written; `-p tcp --dport 80` has an implied tcp
	Jump    string   // the word after -j or -g; "" for a rule that only counts
	Goto    bool     // -g instead of -j
	Target  []Option // the options of -j's target
	Range   hcl.Range
	Text    string // the words after the chain as written, with single spaces, quoted as iptables-save does
}

// Match is one -m with the options that belong to it, wherever they are in the rule.
type Match struct {
	Name    string
	Options []Option
	Implied bool // there is no -m for it: -p implies it
	Range   hcl.Range
}

// Option is one option with its values, without quotes.
type Option struct {
	Name   string // the spelling of iptables-save: "-s", "--dport"
	Not    bool
	Values []string
	// Opaque is set for an option that this package does not know. Its values are then
	// assumed to end at the next word that looks like an option.
	Opaque bool
	Range  hcl.Range
}

// Value returns the only value of the option; "" if it has none or several.
func (o Option) Value() string {
	if len(o.Values) != 1 {
		return ""
	}
	return o.Values[0]
}

// Option returns the base option with that name ("-s"), or nil.
func (r *Rule) Option(name string) *Option {
	return find(r.Base, name)
}

// Comment returns the comment of the rule; "" if it has none.
func (r *Rule) Comment() string {
	for i := range r.Matches {
		if r.Matches[i].Name == "comment" {
			if o := r.Matches[i].Option("--comment"); o != nil {
				return o.Value()
			}
		}
	}
	return ""
}

// Option returns the option of the match with that name ("--dport"), or nil.
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

// Sets returns the names of the sets that the matches of the rule refer to.
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
