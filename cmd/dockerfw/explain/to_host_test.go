package explain_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/explain"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// An accept in INPUT is a RETURN from its chain: explain has the accept as the reason, and not
// that no rule matched at the end.
func TestPacketsForTheHostHaveTheRuleOfInputAsReason(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.hcl")
	policy := `
host { external_interfaces = ["eth0"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443, 8443]
}
deny "bad" {
  source = ["203.0.113.0/24"]
}
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = ["192.0.2.0/24"]
  }
}
`
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	opened, diags, err := snapshot.Open(path, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	const left, unmatched = "Left to the host's own INPUT rules by rule ", "No dockerfw rule matched: the host's own INPUT rules decide"
	for _, c := range []struct {
		f    explain.Flags
		want string
	}{
		{explain.Flags{From: "192.0.2.1", ToPort: 22}, left + `accept "ssh"`},
		{explain.Flags{From: "198.51.100.9", ToPort: 22}, "Dropped by rule default"},
		{explain.Flags{From: "198.51.100.9", ToPort: 22, State: "established"}, "Left to the host's own INPUT rules by the implicit established rule"},
		{explain.Flags{From: "198.51.100.9", ToPort: 443}, left + `accept "https"`},
		{explain.Flags{From: "203.0.113.9", ToPort: 443}, `Dropped by rule deny "bad"`},
		{explain.Flags{From: "198.51.100.9", ToPort: 443, In: "eth1"}, unmatched},
		{explain.Flags{From: "198.51.100.9", Protocol: "icmp"}, unmatched},
		{explain.Flags{From: "198.51.100.9", ToPort: 22, In: "eth1"}, unmatched},
		{explain.Flags{From: "2001:db8::9", ToPort: 5432, Protocol: "udp"}, "Dropped by rule default"},
	} {
		c.f.ToHost = true
		if c.f.Protocol == "" {
			c.f.Protocol = "tcp"
		}
		q, problems := c.f.Question()
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		answers, err := explain.Explain(opened.Hosts[0], q, "")
		if err != nil || len(answers) != 1 {
			t.Fatal(answers, err)
		}
		var text strings.Builder
		if err := explain.WriteText(&text, answers); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), "\n"+c.want) {
			t.Errorf("%+v: want %q in\n%s", c.f, c.want, text.String())
		}
	}
}
