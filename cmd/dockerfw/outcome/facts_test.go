package outcome

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

func open(t *testing.T, name, text string) *snapshot.Host {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	fleet, diags, err := snapshot.Open(path, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return fleet.Hosts[0]
}

// What loading does not fix is reported after a load and in a dry run; of a large policy, a load leaves
// out what is slow, and says so.
func TestALoadReportsWhatItDoesNotFix(t *testing.T) {
	want := open(t, "policy.hcl", "host {\n  external_interfaces = [\"eth0\"]\n  families = [\"ipv4\"]\n}\naccept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [80]\n}\n")
	before := open(t, "rules.v4", "*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i eth0 -j DROP\nCOMMIT\n*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")
	before.Network = &network.State{Links: []network.Link{{Index: 1, Name: "eth1", Kind: "device"}}}
	after, err := want.LoadedOnto(before)
	if err != nil {
		t.Fatal(err)
	}
	const missing, dropped, large = "interfaces: this host has no interface eth0", `IPv4 FORWARD: accept "web" has no effect`, "host: the policy is large"
	for name, c := range map[string]struct {
		result *apply.Result
		dryRun bool
		want   []string
	}{
		"a load":               {&apply.Result{Want: want, Before: before, After: after}, false, []string{missing, dropped}},
		"nothing to do":        {&apply.Result{Want: want, Before: after}, false, []string{missing, dropped}},
		"a dry run":            {&apply.Result{Want: want, Before: before}, true, []string{missing, dropped}},
		"a large policy":       {&apply.Result{Want: want, Before: before, After: after, Rules: maxRulesChecked + 1}, false, []string{missing, large}},
		"a dry run of a large": {&apply.Result{Want: want, Before: before, Rules: maxRulesChecked + 1}, true, []string{missing, dropped}},
	} {
		var got []string
		for _, f := range hostFacts(c.result, c.dryRun) {
			if f.Status != facts.OK {
				got = append(got, f.Name+": "+f.Text)
			}
		}
		matches := len(got) == len(c.want)
		for i := range got {
			matches = matches && strings.HasPrefix(got[i], c.want[i])
		}
		if !matches {
			t.Errorf("%s: %q", name, got)
		}
	}
}
