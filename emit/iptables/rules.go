package iptables

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// maxLine is the longest line that iptables-restore does not split, in bytes without the
// newline: docs/contributing/netfilter.md, "Restore lines".
const maxLine = 10239

// restore writes a restore file. It is the only code that knows their grammar: for each
// table its name, chain declarations, rules and COMMIT.
type restore struct {
	buf bytes.Buffer
}

// usualRule is the room for the line of a rule, in bytes: most are shorter, and a file grows if it needs more.
const usualRule = 128

// newRestore begins a file with room for so many rules.
func newRestore(header string, rules int) *restore {
	t := &restore{}
	t.buf.Grow(rules * usualRule)
	t.line("# ", header)
	return t
}

// line adds a line that is made of parts.
func (t *restore) line(parts ...string) {
	length := 0
	for _, s := range parts {
		length += len(s)
	}
	if length > maxLine {
		panic(fmt.Sprintf("iptables: a line of %d bytes; iptables-restore accepts %d: %.80s…", length, maxLine, strings.Join(parts, "")))
	}
	for _, s := range parts {
		t.buf.WriteString(s)
	}
	t.buf.WriteByte('\n')
}

// declare creates the chain, or flushes it if it exists.
func (t *restore) declare(chain string)      { t.line(":", chain, " - [0:0]") }
func (t *restore) add(chain, spec string)    { t.line("-A ", chain, " ", spec) }
func (t *restore) insert(chain, spec string) { t.line("-I ", chain, " ", spec) }
func (t *restore) remove(chain, spec string) { t.line("-D ", chain, " ", spec) }
func (t *restore) flush(chain string)        { t.line("-F ", chain) }
func (t *restore) destroyChain(chain string) { t.line("-X ", chain) }
func (t *restore) begin(name string)         { t.line("*", name) }
func (t *restore) commit()                   { t.line("COMMIT") }

// Rules returns the input of iptables-restore --noflush (ip6tables-restore for IPv6) that
// loads p: each table in one transaction, the filter table first.
func Rules(p *Program, header string) []byte {
	rules := 0
	for _, chain := range slices.Concat(p.Chains, p.Fallback) {
		rules += len(chain.Rules)
	}
	t := newRestore(header, rules)
	t.addFilter(p)
	if len(p.Fallback) > 0 {
		t.begin("security")
		for _, chain := range p.Fallback {
			t.declare(chain.Name)
		}
		for _, chain := range p.Fallback {
			for _, r := range chain.Rules {
				t.add(chain.Name, Spec(r))
			}
		}
		t.commit()
	}
	return t.buf.Bytes()
}

// addFilter adds the commands that load the filter table of p.
func (t *restore) addFilter(p *Program) {
	t.begin("filter")
	for i, chain := range p.Chains {
		if i > 0 || p.Install != ir.InstallInsert {
			t.declare(chain.Name)
		}
	}
	for i, chain := range p.Chains {
		if i == 0 && p.Install == ir.InstallInsert {
			continue
		}
		for _, r := range chain.Rules {
			t.add(chain.Name, Spec(r))
		}
	}
	if p.Install == ir.InstallInsert {
		// Each -I inserts above the previous one, so the last rule is inserted first.
		rules := p.Chains[0].Rules
		for i := len(rules) - 1; i >= 0; i-- {
			t.insert(p.Target, Spec(rules[i]))
		}
	}
	t.commit()
}

// RemoveRules returns the input of iptables-restore --noflush that removes p.
func RemoveRules(p *Program, header string) []byte {
	t := newRestore(header, 0)
	t.removeFilter(p)
	if len(p.Fallback) > 0 {
		t.begin("security")
		for _, j := range p.FallbackJumps() {
			t.remove(j.From, "-j "+j.To)
		}
		t.destroyChains(p.Fallback)
		t.commit()
	}
	return t.buf.Bytes()
}

// removeFilter adds the commands that remove the filter table of p.
func (t *restore) removeFilter(p *Program) {
	t.begin("filter")
	first, others := p.Chains[0], p.Chains[1:]
	switch p.Install {
	case ir.InstallReplace:
		// The chain is emptied, not deleted: Docker's FORWARD rules jump to it.
		t.declare(first.Name)
	case ir.InstallJump:
		t.remove(p.Target, "-j "+first.Name)
		t.flush(first.Name)
	case ir.InstallInsert:
		for _, r := range first.Rules {
			t.remove(p.Target, Spec(r))
		}
	}
	if p.ProtectsInput() {
		t.remove("INPUT", "-j "+ir.InputChain)
	}
	for _, chain := range others {
		t.flush(chain.Name)
	}
	if p.Install == ir.InstallJump {
		t.destroyChain(first.Name)
	}
	for _, chain := range others {
		t.destroyChain(chain.Name)
	}
	t.commit()
}

// destroyChains adds the commands that delete chains, which may jump to one another.
func (t *restore) destroyChains(chains []*Chain) {
	for _, chain := range chains {
		t.flush(chain.Name)
	}
	for _, chain := range chains {
		t.destroyChain(chain.Name)
	}
}
