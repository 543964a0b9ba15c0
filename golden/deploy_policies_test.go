//go:build linux

package golden

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// deployed is a compiled folder as it comes to a host, with scripts and all.
type deployed struct{ name, dir string }

func (p *deployed) state(t *testing.T) *snapshot.Host { return openState(t, p.dir) }

// compileFolder compiles a policy into a folder of its own.
func compileFolder(t *testing.T, name, text string) *deployed {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		t.Fatal(name, diags)
	}
	p := &deployed{name, filepath.Join(dir, "compiled")}
	if _, err := result.Folder().Write(p.dir); err != nil {
		t.Fatal(err)
	}
	return p
}

// deployPolicies are versions of a host's policy, each with something that the way from
// it to another has to take care of.
var deployPolicies = map[string]string{
	"friends": `
host { external_interfaces = ["eth0"] }
ipset "friends" { entries = ["192.0.2.10", "2001:db8::10"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default { allow = [ipset.friends] }
`,
	"other friends, rechecked": `
host { external_interfaces = ["eth0"] }
ipset "friends" { entries = ["192.0.2.11", "192.0.2.64/26", "2001:db8:1::/64"] }
ipset "banned" { entries = ["198.51.100.0/24"] }
established { sessions = "recheck" }
deny "banned" { source = [ipset.banned] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443, "8000-8100"]
}
default { allow = [ipset.friends] }
`,
	"a list of friends": `
host { external_interfaces = ["eth0"] }
ipset "friends" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "family" { entries = ["203.0.113.0/28", "2001:db8:f::/48"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.friends, ipset.family]
}
default { allow = [ipset.known] }
`,
	"a list without family": `
host { external_interfaces = ["eth0"] }
ipset "friends" { entries = ["192.0.2.12", "2001:db8::10"] }
ipset "family" { entries = ["203.0.113.0/28"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.friends]
}
accept "family" {
  source          = [ipset.family]
  protocol        = "tcp"
  published_ports = [22]
}
default { allow = [ipset.known] }
`,
	"single friends": `
host { external_interfaces = ["eth0"] }
ipset "friends" {
  type     = "hash:ip"
  entries  = ["192.0.2.10", "192.0.2.12", "2001:db8::10"]
  hashsize = 4096
  maxelem  = 2048
  counters = true
}
ipset "family" {
  type    = "hash:ip"
  entries = ["203.0.113.1"]
  timeout = 600
  comment = true
}
default { allow = [ipset.friends, ipset.family] }
`,
	"friends of somebody else": `
host { external_interfaces = ["eth0"] }
ipset "friends" { managed = false }
deny "family" { source = ["203.0.113.0/28", "203.0.113.64"] }
default { allow = [ipset.friends] }
`,
	"a jump": `
host {
  external_interfaces = ["eth0", "wg+"]
  install             = "jump"
}
ipset "friends" { entries = ["192.0.2.10", "192.0.2.32/29", "2001:db8::20"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default {
  allow  = [ipset.friends]
  action = "reject"
}
`,
	"inserted": `
host {
  external_interfaces = ["eth0"]
  install             = "insert"
}
ipset "friends" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.friends]
}
accept "mail" {
  source          = [ipset.known]
  protocol        = "tcp"
  published_ports = [25, 587]
}
`,
	"egress, without IPv6": `
host {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
}
ipset "friends" { entries = ["192.0.2.10"] }
ipset "mirrors" { entries = ["198.51.100.80"] }
default { allow = [ipset.friends] }
egress {
  accept "mirrors" { destination = [ipset.mirrors] }
  default { action = "drop" }
}
`,
}

func deployPolicy(t *testing.T, name string) *deployed {
	t.Helper()
	text, ok := deployPolicies[name]
	if !ok {
		t.Fatalf("no policy %q", name)
	}
	return compileFolder(t, name, text)
}
