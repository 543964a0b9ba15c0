//go:build linux

package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/netlab"
	"github.com/dockerfw/dockerfw/parser/dump"
)

// TestRandomPoliciesLoadIntoTheKernelAsTheyStand loads what random policies compile
// to on both backends, each over what the one before left, compares what the host
// saves, and removes it again.
func TestRandomPoliciesLoadIntoTheKernelAsTheyStand(t *testing.T) {
	netlab.Require(t, "iptables-nft", "iptables-legacy", "ipset")
	path := filepath.Join(t.TempDir(), "policy.hcl")
	hosts := map[netlab.Backend]*netlab.Namespace{}
	for _, backend := range netlab.Backends {
		hosts[backend] = netlab.NewNamespace(t, "dfw-random")
	}
	rapid.Check(t, func(t *rapid.T) {
		text := policyText(t)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, diags := Policy(path, Options{})
		if diags.HasErrors() {
			t.Skip("refused")
		}
		files := emittedText(result.Hosts[0].Files)
		for _, backend := range netlab.Backends {
			for _, p := range result.Hosts[0].Ruleset.Programs {
				loadProgram(t, hosts[backend], backend, p, files)
			}
			if err := hosts[backend].IPSetRestore(string(files.SetsRemoval)); err != nil {
				t.Fatalf("%s\n%s", err, text)
			}
			// The set that somebody else fills stays; the next policy may make it anew.
			hosts[backend].MustRun("ipset", "destroy")
		}
	})
}

func loadProgram(t *rapid.T, host *netlab.Namespace, backend netlab.Backend, p *ir.Program, files compiler.Text) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s, %s: %s\n%s", backend, p.Family, err, files.Rules[p.Family])
		}
	}
	family := int(p.Family)
	before := "*filter\n:" + p.Target + " - [0:0]\nCOMMIT\n"
	must(host.IPTablesRestore(backend, family, before))
	must(host.IPSetRestore(string(files.Sets)))
	must(host.IPTablesRestore(backend, family, string(files.Rules[p.Family])))
	if p.Install != ir.Insert {
		must(host.IPTablesRestore(backend, family, string(files.Rules[p.Family])))
	}

	want := chains(t, p.Family, before, string(files.Rules[p.Family]))
	got := chains(t, p.Family, host.IPTablesSave(backend, family, "filter"))
	for name := range want {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Fatalf("%s, %s, chain %s (-emitted +saved):\n%s", backend, p.Family, name, diff)
		}
	}

	if p.Install == ir.Jump {
		must(host.IPTables(backend, family, "-I", p.Target, "-j", p.Chains[0].Name))
	}
	must(host.IPTablesRestore(backend, family, string(files.RulesRemoval[p.Family])))
	for name, rules := range chains(t, p.Family, host.IPTablesSave(backend, family, "filter")) {
		if len(rules) > 0 || strings.HasPrefix(name, "DOCKERFW") {
			t.Fatalf("%s, %s: removal leaves chain %s: %q", backend, p.Family, name, rules)
		}
	}
}

// chains are the rules that a host's chains have once the texts are loaded, in the
// one spelling that does not depend on the host's /etc/protocols.
func chains(t *rapid.T, f ir.Family, texts ...string) map[string][]string {
	host := dump.NewRuleset(dump.Family(f))
	for _, text := range texts {
		if err := loadText(host, text); err != nil {
			t.Fatalf("%s\n%s", err, text)
		}
	}
	out := map[string][]string{}
	for _, c := range host.Table("filter").Chains {
		out[c.Name] = nil
		for _, r := range c.Rules {
			out[c.Name] = append(out[c.Name], host.Canonical(r))
		}
	}
	return out
}

func loadText(host *dump.Ruleset, text string) error {
	file, diags := dump.ParseRules(strings.NewReader(text), "rules")
	if !diags.HasErrors() {
		diags = host.Load(file)
	}
	if diags.HasErrors() {
		return diags
	}
	return nil
}
