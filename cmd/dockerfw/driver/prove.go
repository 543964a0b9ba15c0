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

// proofCache proves equal policies with equal text only once: the hosts of a fleet often
// differ only in their names.
type proofCache struct {
	lists   *compiler.Lists
	mu      sync.Mutex
	results map[[sha256.Size]byte]*proofResult
}

type proofResult struct {
	once  sync.Once
	diags hcl.Diagnostics
}

func (c *proofCache) prove(h Host, text iptables.Text) hcl.Diagnostics {
	c.mu.Lock()
	result := c.results[h.key]
	if result == nil {
		result = &proofResult{}
		c.results[h.key] = result
	}
	c.mu.Unlock()
	result.once.Do(func() { result.diags = prove(h, c.lists, text) })
	return result.diags
}

// proofKey returns a digest of everything that a proof depends on, except for the lists,
// which are the same for all hosts. The digest covers the policy without the host's name
// and without positions, and the text without its first line, a comment with the host's
// name.
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

// iptablesText returns the files to prove: everything that iptables-restore and ipset read.
func iptablesText(files []folder.File) iptables.Text {
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

// prove returns errors if the text does not load exactly the host's rules and sets, or if
// these treat any packet otherwise than the policy.
func prove(h Host, lists *compiler.Lists, text iptables.Text) hcl.Diagnostics {
	loaded, diags := iptables.ReadBack(h.Tables, text)
	if diags.HasErrors() {
		return diags
	}
	for _, p := range h.Tables.Programs {
		err := proof.Prove(h.Policy, lists.Ranges, proof.Loaded{
			Family: p.Family, Filter: loaded.Filter[p.Family], Forward: p.Chains[0].Name,
			Security: loaded.Security[p.Family], Sets: loaded.Sets,
		})
		if err != nil {
			diags = append(diags, diag.Internal(h.Policy.Host.DeclRange, "the printed %s rules: %s", p.Family, err))
		}
	}
	return diags
}
