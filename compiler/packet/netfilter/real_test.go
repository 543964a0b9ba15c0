package netfilter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Programs of saved tables of real hosts, from any built-in chain: nothing is skipped, what
// is not supported is an opaque condition or a target of its own, and each packet gets one
// verdict, the same from the sets and rule by rule.
func TestTablesOfRealHostsBecomePrograms(t *testing.T) {
	names, err := filepath.Glob("../../../parser/iptables/testdata/real/*.save")
	if err != nil || len(names) < 10 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			family := ir.IPv4
			if strings.Contains(name, "-v6") {
				family = ir.IPv6
			}
			file, diags := iptables.ParseRules(strings.NewReader(string(text)), name)
			host := iptables.NewRuleset(iptables.Family(family))
			if diags = append(diags, host.Load(file)...); diags.HasErrors() {
				t.Fatal(diags)
			}
			for _, table := range host.Tables {
				for _, chain := range table.Chains {
					if chain.Policy == "" || len(chain.Rules) == 0 {
						continue
					}
					space, err := packet.New(Program(table, family, chain.Name, nil))
					if err != nil {
						t.Fatalf("%s %s: %v", table.Name, chain.Name, err)
					}
					e := space.Programs()[0]
					whole := space.None()
					for _, o := range e.Outcomes() {
						if !whole.And(o.Set).IsEmpty() {
							t.Errorf("%s %s: some packets get %s and another verdict", table.Name, chain.Name, o.Verdict)
						}
						whole = whole.Or(o.Set)
						p, _ := o.Set.Witness()
						if got := e.Decide(p).Verdict; got != o.Verdict {
							t.Errorf("%s %s: %s gets %s rule by rule and %s by sets", table.Name, chain.Name, p, got, o.Verdict)
						}
					}
				}
			}
		})
	}
}
