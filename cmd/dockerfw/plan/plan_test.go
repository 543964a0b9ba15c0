package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

func compile(t *testing.T, text string) *snapshot.Host {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	fleet, diags, err := snapshot.Open(path, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return fleet.Hosts[0]
}

const dockers = `*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`

func newHost(t *testing.T, text string) *plan.Host {
	t.Helper()
	h := &plan.Host{Rules: map[ir.Family]*iptables.Ruleset{}, Other: map[ir.Family]*iptables.Ruleset{}, Sets: &iptables.Sets{}}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		h.Rules[f] = iptables.NewRuleset(iptables.Family(f))
		file, diags := iptables.ParseRules(strings.NewReader(text), "host")
		if diags = append(diags, h.Rules[f].Load(file)...); diags.HasErrors() {
			t.Fatal(diags)
		}
	}
	return h
}

func TestSmoke(t *testing.T) {
	a := compile(t, `
host { external_interfaces = ["eth0"] }
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "office" { entries = ["203.0.113.0/28", "2001:db8:f::/48"] }
ipset "known" {
  type    = "list:set"
  members = [ipset.clients, ipset.office]
}
default { allow = [ipset.known] }
`)
	b := compile(t, `
host {
  external_interfaces = ["eth0", "wg+"]
  install             = "jump"
}
ipset "clients" {
  type    = "hash:ip"
  entries = ["192.0.2.10", "192.0.2.32", "2001:db8::20"]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default {
  allow  = [ipset.clients]
  action = "reject"
}
`)
	h := newHost(t, dockers)
	for _, v := range []*snapshot.Host{a, b, a, b} {
		p, err := plan.Make(plan.Input{Host: h, Want: v.Version()})
		if err != nil {
			t.Fatal(err)
		}
		for _, pr := range p.Problems {
			t.Error(pr)
		}
		for _, s := range append(p.Load, p.Settle...) {
			t.Logf("--- %s %s\n%s", s.Name, s.Tool, s.Input)
			if err := h.Run(s); err != nil {
				t.Fatal(err)
			}
		}
		p, err = plan.Make(plan.Input{Host: h, Want: v.Version()})
		if err != nil {
			t.Fatal(err)
		}
		if !p.Differences.Empty() || len(p.Load)+len(p.Settle) > 0 {
			t.Errorf("%+v %v %v", p.Differences, p.Load, p.Settle)
		}
	}
}
