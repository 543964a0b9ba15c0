package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// Random policies may have errors, but the output of those without passes the proof.
func TestRandomPoliciesAreProved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.hcl")
	compiled := 0
	rapid.Check(t, func(t *rapid.T) {
		text := randompolicy.Text(t)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, diags := Policy(path, Options{})
		for _, d := range diags {
			code := diag.InfoOf(d).Code
			if code == diag.CodeInternal || code == diag.CodeSyntax || code == diag.CodeSchema {
				t.Fatalf("%s\n%s", d, text)
			}
		}
		if result.Hosts != nil {
			compiled++
		}
	})
	t.Logf("%d policies compiled", compiled)
	// With -short rapid tries a fifth of the cases; about half of the policies have errors.
	if compiled < 10 && !testing.Short() || compiled == 0 {
		t.Errorf("only %d policies compiled", compiled)
	}
}

// Random policies found this once: rules whose interfaces on the containers' side are not
// among the host's container_interfaces.
func TestRulesOnOtherInterfacesAreReachedAndRepliesToThemPass(t *testing.T) {
	result := compileText(t, `
host {
  external_interfaces  = ["eth0"]
  container_interfaces = ["docker0"]
}
deny "dmz" {
  source         = ["192.0.2.66"]
  out_interfaces = ["br-dmz"]
}
egress {
  deny "lan" {
    interfaces  = ["br-dmz"]
    destination = ["192.168.0.0/16"]
  }
}
`)
	rules := string(iptablesText(result.Hosts[0].Files).Rules[ir.IPv4])
	for _, want := range []string{
		`-A DOCKER-USER -i eth0 -o br-dmz -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j ACCEPT`,
		`-A DOCKER-USER -i br-dmz -o eth0 -m comment --comment "dockerfw egress" -j DOCKERFW-EGRESS`,
		`-A DOCKERFW-EGRESS -i br-dmz -o eth0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j ACCEPT`,
	} {
		if !strings.Contains(rules, want+"\n") {
			t.Errorf("missing: %s\n%s", want, rules)
		}
	}
}
