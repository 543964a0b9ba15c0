package proof_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/compiler/proof"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// The policy accepts packets to the published port 443. These rules match the port after
// Docker's translation instead, which is that of the container.
func ExampleProve() {
	rules, err := os.ReadFile("testdata/iptables.restore")
	if err != nil {
		panic(err)
	}
	fmt.Println(proof.Prove(evaluate("testdata/policy.hcl"), nil, load(string(rules), "")))
	// Output:
	// the verdict on tcp 198.51.100.1:40000 -> 192.0.2.1:443 => 172.17.0.2:1 in eth0 out docker0 NEW is "accept" by the policy (accept https) and "drop" by the text (dockerfw default)
}

// evaluate returns the policy in a file.
func evaluate(name string) *parser.Policy {
	source, diags := parser.Load(name, parser.Inputs{}, false)
	if diags.HasErrors() {
		panic(diags)
	}
	defer source.Close()
	policy, diags := source.Evaluate("", time.Time{})
	if diags.HasErrors() {
		panic(diags)
	}
	return policy
}

// load returns the IPv4 rules and sets of a host that has loaded the given text.
func load(rules, sets string) proof.Loaded {
	rulesFile, diags := iptables.ParseRules(strings.NewReader(rules), "rules")
	if diags.HasErrors() {
		panic(diags)
	}
	setsFile, diags := iptables.ParseSets(strings.NewReader(sets), "sets")
	if diags.HasErrors() {
		panic(diags)
	}
	host, hostSets := iptables.NewRuleset(iptables.IPv4), &iptables.Sets{}
	if diags := append(hostSets.Load(setsFile), host.Load(rulesFile)...); diags.HasErrors() {
		panic(diags)
	}
	return proof.Loaded{Family: ir.IPv4, Filter: host.Table("filter"), Forward: "DOCKER-USER", Security: host.Table("security"), Sets: netfilter.NewSets(hostSets, nil)}
}
