package iptables

import (
	"io"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
)

// Known are the lines of files that were read before, for files that have most of their lines in common: a line with a
// rule is parsed once. The zero value has none. It is safe for concurrent use, and keeps the lines that were met last.
type Known struct {
	mu sync.Mutex
	// young has the lines that were met since old was young.
	young, old map[string]*Command
}

// maxYoung is the number of lines in one of the maps of Known. A parsed rule takes 2 to 3 kB.
const maxYoung = 1 << 13

// ParseRules is the function of that name, but for positions of options in rules that have been met before: those are the
// ones of the first file with the line. With nil it knows none.
func (k *Known) ParseRules(r io.Reader, filename string) (*RulesFile, hcl.Diagnostics) {
	return parseRules(&ruleParser{file: &RulesFile{Name: filename}, known: k}, r)
}

// find returns a command with a rule that was read from the same line, or nil.
func (k *Known) find(line string) *Command {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.young[line]
	if c == nil {
		if c = k.old[line]; c != nil {
			k.keep(c)
		}
	}
	return c
}

// add keeps a command with a rule. Its strings must not be part of a longer text.
func (k *Known) add(c *Command) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keep(c)
}

func (k *Known) keep(c *Command) {
	if k.young == nil || len(k.young) == maxYoung {
		k.young, k.old = map[string]*Command{}, k.young
	}
	k.young[c.Line] = c
}

// knownCommand is command for files that have lines in common with others.
func (p *ruleParser) knownCommand(l line) {
	if c := p.known.find(l.text); c != nil {
		p.block.Commands = append(p.block.Commands, c.at(l.whole()))
		return
	}
	l.text = strings.Clone(l.text)
	commands := len(p.block.Commands)
	p.command(l)
	if added := p.block.Commands[commands:]; len(added) == 1 && added[0].Rule != nil {
		p.known.add(added[0].at(added[0].Range))
	}
}

// at returns a copy of a command with a rule, at another position.
func (c *Command) at(rng hcl.Range) *Command {
	out, rule := *c, *c.Rule
	out.Range, rule.Range, out.Rule = rng, rng, &rule
	return &out
}
