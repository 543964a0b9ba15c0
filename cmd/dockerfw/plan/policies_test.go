package plan_test

import (
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
)

// policies are versions of a host's policy. Each has something that a change to another version
// has to handle.
var policies = []struct{ name, text string }{
	{"clients", `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default { allow = [ipset.clients] }
`},
	{"other clients, rechecked", `
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
`},
	{"list", `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "office" { entries = ["203.0.113.0/28", "2001:db8:f::/48"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.clients, ipset.office]
}
default { allow = [ipset.known] }
`},
	{"shorter list", `
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
`},
	{"single addresses", `
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
`},
	{"unmanaged set", `
host { external_interfaces = ["eth0"] }
ipset "clients" { managed = false }
deny "office" { source = ["203.0.113.0/28", "203.0.113.64"] }
default { allow = [ipset.clients] }
`},
	{"list of an unmanaged set", `
host { external_interfaces = ["eth0"] }
ipset "cdn" { managed = false }
ipset "office" { entries = ["203.0.113.0/29", "2001:db8:f::/48"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.cdn, ipset.office]
}
default { allow = [ipset.known] }
`},
	{"jump", `
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
`},
	{"inserted", `
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
`},
	{"egress, without IPv6", `
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
`},
}

// beside are policies that leave foreign rules in DOCKER-USER alone.
var beside = []string{"jump", "inserted"}

type named struct {
	name string
	*plan.Version
}

// versions are the compiled policies, and last nothing at all: dockerfw is removed.
func versions(t testing.TB) []named {
	t.Helper()
	var out []named
	for _, p := range policies {
		out = append(out, named{p.name, compile(t, p.text)})
	}
	return append(out, named{"nothing", nothing()})
}

func version(t testing.TB, name string) *plan.Version {
	t.Helper()
	i := slices.IndexFunc(policies, func(p struct{ name, text string }) bool { return p.name == name })
	return compile(t, policies[i].text)
}
