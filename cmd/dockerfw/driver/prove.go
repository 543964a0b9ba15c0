package driver

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
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

// proofKey is a digest of all that a proof depends on but the lists, which are the
// same for all hosts: the policy without the host's name, and the text without the
// comment that has it. What is lowered from equal policies is equal.
func proofKey(policy *parser.Policy, text iptables.Text) (key [sha256.Size]byte, err error) {
	// Of the host its values count, and not its name or where they stand.
	nameless, h := *policy, policy.Host
	nameless.Host = &parser.Host{IPv4: h.IPv4, IPv6: h.IPv6, Verdict: h.Verdict, InputGuard: h.InputGuard}
	nameless.Host.Chain.Value, nameless.Host.Install.Value = h.Chain.Value, h.Install.Value
	for _, i := range h.ExternalInterfaces {
		nameless.Host.ExternalInterfaces = append(nameless.Host.ExternalInterfaces, parser.At[string]{Value: i.Value})
	}
	for _, i := range h.ContainerInterfaces {
		nameless.Host.ContainerInterfaces = append(nameless.Host.ContainerInterfaces, parser.At[string]{Value: i.Value})
	}
	for _, p := range h.ProxyPorts {
		nameless.Host.ProxyPorts = append(nameless.Host.ProxyPorts, parser.At[parser.ProxyPorts]{Value: p.Value})
	}
	// Blocks that were not written have the host's place.
	established, def := *policy.Established, *policy.Default
	if established.DeclRange == policy.Host.DeclRange {
		established.DeclRange = hcl.Range{}
	}
	if def.DeclRange == policy.Host.DeclRange {
		def.DeclRange = hcl.Range{}
	}
	nameless.Established, nameless.Default = &established, &def
	sum := sha256.New()
	if err := json.NewEncoder(sum).Encode(nameless); err != nil {
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
