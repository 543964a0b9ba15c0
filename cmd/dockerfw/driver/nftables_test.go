package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/emit/nftables"
	"github.com/dockerfw/dockerfw/golden/lab/nftpolicy"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
	"github.com/dockerfw/dockerfw/parser/diag"
)

func TestRandomPoliciesAreProvedForNFTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.hcl")
	compiled := 0
	for _, draw := range []func(*rapid.T) string{randompolicy.Text, randompolicy.Many} {
		rapid.Check(t, func(t *rapid.T) {
			text := nftpolicy.Text(draw(t))
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
				if result.Hosts[0].NFT == nil {
					t.Fatalf("the target is another:\n%s", text)
				}
			}
		})
	}
	t.Logf("%d policies compiled", compiled)
	if compiled < 10 {
		t.Errorf("only %d policies compiled", compiled)
	}
}

// isImplied reports whether a condition of a rule of nftFaultsPolicy follows from the others, or from the rules before.
func isImplied(r *nftables.Rule, m nftables.Match) bool {
	has := func(sample nftables.Match) bool {
		return slices.ContainsFunc(r.Matches, func(m nftables.Match) bool { return reflect.TypeOf(m) == reflect.TypeOf(sample) })
	}
	reject, _ := r.Verdict.(nftables.Reject)
	switch m.(type) {
	case nftables.CTDirection:
		return has(nftables.Translated{}) // replies were accepted before
	case nftables.State:
		return has(nftables.CTDirection{}) && !has(nftables.Translated{}) || // only established connections have replies
			has(nftables.SourceConnections{}) // established connections are accepted by the rule before
	case nftables.Protocol:
		return reject.TCPReset || slices.ContainsFunc(r.Matches, func(m nftables.Match) bool { // only TCP has resets
			p, ok := m.(nftables.Ports)
			return ok && p.Protocol == 0 // the jump has matched the protocols
		})
	}
	return false
}

// nftFaultsPolicy has no rule without which all packets would be treated the same.
const nftFaultsPolicy = `
host {
  external_interfaces = ["eth0"]
  target              = "nftables"
}
ipset "office" {
  entries = ["192.0.2.0/24", "2001:db8:1::/48"]
}
ipset "partners" {
  entries = ["198.51.100.0/24", "2001:db8:2::/48"]
}
ipset "banned" {
  managed = false
}
established {
  sessions     = "recheck"
  drop_invalid = true
}
deny "banned" {
  source = [ipset.banned, "192.0.2.66"]
}
deny "flood" {
  protocol        = "udp"
  published_ports = [53]
  rate {
    limit = "100/second"
  }
}
accept "dns" {
  protocol          = ["udp", "tcp"]
  published_ports   = [53]
  published_address = ["203.0.113.1", "2001:db8::53"]
}
accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
  source_not      = [ipset.partners]
  connections {
    max = 3
  }
}
accept "database" {
  protocol        = "tcp"
  container_ports = [5432]
  source          = [ipset.partners]
  destination     = ["172.18.0.0/16", "fd00:18::/64"]
  expires         = "2037-12-31"
}
accept "ping" {
  protocol   = "icmp"
  icmp_types = ["echo-request", "3/4"]
}
default {
  allow  = [ipset.office]
  action = "reject"
}
egress {
  deny "mail" {
    protocol        = "tcp"
    container_ports = [25]
  }
}
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}
`

// Each rule that is missing, each condition and each wrong verdict is found.
func TestFaultsInTheTableOfNFTAreFound(t *testing.T) {
	host := compileText(t, nftFaultsPolicy).Hosts[0]
	if refusedNFT(t, host, func(*nftables.Tables) {}) {
		t.Fatal("the table without a fault is refused")
	}
	tried := 0
	for c, chain := range host.NFT.Chains {
		for i, r := range chain.Rules {
			faults := map[string]func(*nftables.Rule){
				"the rule missing": nil,
				"another verdict": func(r *nftables.Rule) {
					if _, drops := r.Verdict.(nftables.Drop); drops {
						r.Verdict = nftables.Accept{}
					} else {
						r.Verdict = nftables.Drop{}
					}
				},
			}
			for m := range r.Matches {
				if isImplied(r, r.Matches[m]) {
					continue
				}
				faults[fmt.Sprintf("without %T", r.Matches[m])] = func(r *nftables.Rule) {
					r.Matches = slices.Delete(slices.Clone(r.Matches), m, m+1)
				}
			}
			for name, change := range faults {
				tried++
				found := refusedNFT(t, host, func(t *nftables.Tables) {
					rules := slices.Clone(t.Chains[c].Rules)
					if change == nil {
						rules = slices.Delete(rules, i, i+1)
					} else {
						one := *rules[i]
						change(&one)
						rules[i] = &one
					}
					t.Chains[c] = &nftables.Chain{Name: t.Chains[c].Name, Base: t.Chains[c].Base, Rules: rules}
				})
				if !found {
					t.Errorf("chain %s, %s: %s", chain.Name, nftables.Spec(r), name)
				}
			}
		}
	}
	if tried < 150 {
		t.Errorf("only %d faults", tried)
	}
}

// refusedNFT reports whether the table of a host with a fault is refused.
func refusedNFT(t *testing.T, h Host, fault func(*nftables.Tables)) bool {
	t.Helper()
	table := *h.NFT
	table.Chains = slices.Clone(table.Chains)
	fault(&table)
	h.NFT = &table
	files, err := emit.NFTFiles(h.NFT, emit.Source{})
	if err != nil {
		t.Fatal(err)
	}
	h.Files = files
	return newProofCache(nil, 1, nil).compareNFT(h).HasErrors()
}

// The table is for both families: that of a host which compiles one of them must leave the other alone.
func TestTheOtherFamilyIsLeftAlone(t *testing.T) {
	tried := 0
	for _, f := range []string{"ipv4", "ipv6"} {
		policy := strings.Replace(nftFaultsPolicy, "host {", "host {\n  families = [\""+f+"\"]", 1)
		if f == "ipv6" {
			policy = strings.Replace(policy, `protocol   = "icmp"`, `protocol   = "icmpv6"`, 1)
		}
		host := compileText(t, policy).Hosts[0]
		for c, chain := range host.NFT.Chains {
			for i, r := range chain.Rules {
				for m := range r.Matches {
					_, onFamily := r.Matches[m].(nftables.Family)
					if _, returns := r.Verdict.(nftables.Return); !onFamily || !chain.Base || returns {
						continue
					}
					tried++
					if !refusedNFT(t, host, func(t *nftables.Tables) {
						one := *r
						one.Matches = slices.Delete(slices.Clone(r.Matches), m, m+1)
						rules := slices.Clone(chain.Rules)
						rules[i] = &one
						t.Chains[c] = &nftables.Chain{Name: chain.Name, Base: true, Rules: rules}
					}) {
						t.Errorf("%s: %s, for both families, is not found", f, nftables.Spec(r))
					}
				}
			}
		}
	}
	if tried < 8 {
		t.Errorf("only %d faults", tried)
	}
}
