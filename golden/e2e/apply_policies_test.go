//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// deployed is a compiled folder as it is copied to a host.
type deployed struct{ name, dir string }

func (p *deployed) state(t *testing.T) *snapshot.Host { return openState(t, p.dir) }

// compileFolder compiles a policy into a new folder.
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

// deployPolicies are versions of a host's policy. Each has something that a change to another
// version has to handle.
var deployPolicies = map[string]string{
	"clients": `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default { allow = [ipset.clients] }
`,
	"other clients, rechecked": `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.11", "192.0.2.64/26", "2001:db8:1::/64"] }
ipset "banned" { entries = ["198.51.100.0/24"] }
established { sessions = "recheck" }
deny "banned" { source = [ipset.banned] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443, "8000-8100"]
}
default { allow = [ipset.clients] }
`,
	"a list of sets": `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "office" { entries = ["203.0.113.0/28", "2001:db8:f::/48"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.clients, ipset.office]
}
default { allow = [ipset.known] }
`,
	"a shorter list": `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.12", "2001:db8::10"] }
ipset "office" { entries = ["203.0.113.0/28"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.clients]
}
accept "office" {
  source          = [ipset.office]
  protocol        = "tcp"
  published_ports = [22]
}
default { allow = [ipset.known] }
`,
	"single addresses": `
host { external_interfaces = ["eth0"] }
ipset "clients" {
  type     = "hash:ip"
  entries  = ["192.0.2.10", "192.0.2.12", "2001:db8::10"]
  hashsize = 4096
  maxelem  = 2048
  counters = true
}
ipset "office" {
  type    = "hash:ip"
  entries = ["203.0.113.1"]
  timeout = 600
  comment = true
}
default { allow = [ipset.clients, ipset.office] }
`,
	"an unmanaged set": `
host { external_interfaces = ["eth0"] }
ipset "clients" { managed = false }
deny "office" { source = ["203.0.113.0/28", "203.0.113.64"] }
default { allow = [ipset.clients] }
`,
	"a jump": `
host {
  external_interfaces = ["eth0", "wg+"]
  install             = "jump"
}
ipset "clients" { entries = ["192.0.2.10", "192.0.2.32/29", "2001:db8::20"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default {
  allow  = [ipset.clients]
  action = "reject"
}
`,
	"inserted": `
host {
  external_interfaces = ["eth0"]
  install             = "insert"
}
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.clients]
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
ipset "clients" { entries = ["192.0.2.10"] }
ipset "mirrors" { entries = ["198.51.100.80"] }
default { allow = [ipset.clients] }
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
