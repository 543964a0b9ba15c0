package driver

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/proof"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// proofs proves each pair of policy and text once: hosts of a fleet are often the
// same but for their names.
type proofs struct {
	lists *compiler.Lists
	mu    sync.Mutex
	done  map[[sha256.Size]byte]*proved
}

type proved struct {
	once  sync.Once
	diags hcl.Diagnostics
}

func (p *proofs) of(h Host, text iptables.Text) hcl.Diagnostics {
	key, err := proofKey(h.Policy, text)
	if err != nil {
		return hcl.Diagnostics{internal(err)}
	}
	p.mu.Lock()
	one := p.done[key]
	if one == nil {
		one = &proved{}
		p.done[key] = one
	}
	p.mu.Unlock()
	one.once.Do(func() { one.diags = prove(h, p.lists, text) })
	return one.diags
}

// proofKey is a digest of all that a proof depends on but the lists, which are the same for
// all hosts: the policy, except for the host's name and positions, and the text, except
// for the comment that contains the name. What is compiled from equal policies is equal.
func proofKey(policy *parser.Policy, text iptables.Text) (key [sha256.Size]byte, err error) {
	sum := sha256.New()
	if err := policy.Fingerprint(sum); err != nil {
		return key, err
	}
	for _, t := range [][]byte{
		text.Rules[ir.IPv4], text.Rules[ir.IPv6], text.RulesRemoval[ir.IPv4], text.RulesRemoval[ir.IPv6], text.Sets, text.SetsRemoval,
	} {
		_, body, _ := bytes.Cut(t, []byte("\n"))
		fmt.Fprintf(sum, "%d\n", len(body))
		sum.Write(body)
	}
	return [sha256.Size]byte(sum.Sum(nil)), nil
}

// emittedText finds the texts to verify among the files.
func emittedText(files []folder.File) iptables.Text {
	t := iptables.Text{Rules: map[ir.Family][]byte{}, RulesRemoval: map[ir.Family][]byte{}}
	for _, f := range files {
		switch f.Name {
		case folder.SetsFile:
			t.Sets = f.Content
		case folder.SetsRemoval:
			t.SetsRemoval = f.Content
		case folder.RulesFile4:
			t.Rules[ir.IPv4] = f.Content
		case folder.RulesFile6:
			t.Rules[ir.IPv6] = f.Content
		case folder.RulesRemoval4:
			t.RulesRemoval[ir.IPv4] = f.Content
		case folder.RulesRemoval6:
			t.RulesRemoval[ir.IPv6] = f.Content
		}
	}
	return t
}

// prove checks that printed text has exactly the host's rules and sets, and that they
// treat every packet as the policy says.
func prove(h Host, lists *compiler.Lists, text iptables.Text) hcl.Diagnostics {
	loaded, diags := iptables.ReadBack(h.Tables, text)
	if diags.HasErrors() {
		return diags
	}
	for _, p := range h.Tables.Programs {
		err := proof.Prove(h.Policy, lists.Ranges, proof.Loaded{
			Family: p.Family, Filter: loaded.Filter[p.Family], Forward: p.Chains[0].Name, Sets: loaded.Sets,
		})
		if err != nil {
			diags = append(diags, diag.Internal(h.Policy.Host.DeclRange, "the printed %s rules: %s", p.Family, err))
		}
	}
	return diags
}
