package iptables

import (
	"bytes"
	"fmt"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// maxLine is the longest line that iptables-restore does not split, in bytes without the
// newline: docs/contributing/netfilter.md, "Restore lines".
const maxLine = 10239

// table writes one *filter block. It is the only code that knows the grammar of restore
// files: chain declarations, then rules, then COMMIT.
type table struct {
	buf bytes.Buffer
}

func newTable(header string) *table {
	t := &table{}
	t.line("# " + header)
	t.line("*filter")
	return t
}

func (t *table) line(s string) {
	if len(s) > maxLine {
		panic(fmt.Sprintf("iptables: a line of %d bytes; iptables-restore accepts %d: %.80s…", len(s), maxLine, s))
	}
	t.buf.WriteString(s)
	t.buf.WriteByte('\n')
}

// declare creates the chain, or flushes it if it exists.
func (t *table) declare(chain string)      { t.line(":" + chain + " - [0:0]") }
func (t *table) add(chain, spec string)    { t.line("-A " + chain + " " + spec) }
func (t *table) insert(chain, spec string) { t.line("-I " + chain + " " + spec) }
func (t *table) remove(chain, spec string) { t.line("-D " + chain + " " + spec) }
func (t *table) flush(chain string)        { t.line("-F " + chain) }
func (t *table) destroyChain(chain string) { t.line("-X " + chain) }
func (t *table) commit() []byte            { t.line("COMMIT"); return t.buf.Bytes() }

// Rules returns the input of iptables-restore --noflush (ip6tables-restore for IPv6) that
// loads p in one transaction.
func Rules(p *Program, header string) []byte {
	t := newTable(header)
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
	return t.commit()
}

// RemoveRules returns the input of iptables-restore --noflush that removes p.
func RemoveRules(p *Program, header string) []byte {
	t := newTable(header)
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
	return t.commit()
}
