package proof_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/proof"
	"github.com/dockerfw/dockerfw/parser"
)

const policyText = `
host {
  external_interfaces = ["eth0"]
}
ipset "office" { entries = ["192.0.2.0/24"] }
ipset "banned" { managed = false }
deny "banned" { source = [ipset.banned] }
accept "web" {
  protocol        = "tcp"
  published_ports = [443]
  rate {
    limit = "90/minute"
    per   = "rule"
  }
}
default { allow = [ipset.office] }
`

const correctRules = `*filter
:DOCKER-USER - [0:0]
:DOCKERFW-INPUT - [0:0]
:DOCKERFW-PROXY - [0:0]
-A DOCKER-USER -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j ACCEPT
-A DOCKER-USER -i eth0 -m set --match-set banned src -m comment --comment "dockerfw deny banned" -j DROP
-A DOCKER-USER -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -m conntrack --ctstate NEW -m hashlimit --hashlimit-upto 90/min --hashlimit-burst 5 --hashlimit-name web -m comment --comment "dockerfw accept web" -j ACCEPT
-A DOCKER-USER -i eth0 -m set ! --match-set office src -m comment --comment "dockerfw default" -j DROP
-A DOCKERFW-INPUT -i eth0 -p tcp -m tcp --dport 443 -m comment --comment "dockerfw input" -j DOCKERFW-PROXY
-A DOCKERFW-PROXY -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j RETURN
-A DOCKERFW-PROXY -m set --match-set banned src -m comment --comment "dockerfw deny banned" -j DROP
-A DOCKERFW-PROXY -p tcp -m tcp --dport 443 -m conntrack --ctstate NEW -m hashlimit --hashlimit-upto 90/min --hashlimit-burst 5 --hashlimit-name web -m comment --comment "dockerfw accept web" -j RETURN
-A DOCKERFW-PROXY -m set ! --match-set office src -m comment --comment "dockerfw default" -j DROP
COMMIT
*security
:DOCKERFW - [0:0]
-A DOCKERFW -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j RETURN
-A DOCKERFW -i eth0 -m set --match-set banned src -m comment --comment "dockerfw deny banned" -j DROP
-A DOCKERFW -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -m conntrack --ctstate NEW -m comment --comment "dockerfw accept web" -j RETURN
-A DOCKERFW -i eth0 -m set ! --match-set office src -m comment --comment "dockerfw default" -j DROP
` + fallbackInput + `COMMIT
`

// fallbackInput are the fallback rules for packets to the host.
const fallbackInput = `:DOCKERFW-INPUT - [0:0]
:DOCKERFW-PROXY - [0:0]
-A DOCKERFW-INPUT -i eth0 -p tcp -m tcp --dport 443 -m comment --comment "dockerfw input" -j DOCKERFW-PROXY
-A DOCKERFW-PROXY -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j RETURN
-A DOCKERFW-PROXY -m set --match-set banned src -m comment --comment "dockerfw deny banned" -j DROP
-A DOCKERFW-PROXY -p tcp -m tcp --dport 443 -m conntrack --ctstate NEW -m comment --comment "dockerfw accept web" -j RETURN
-A DOCKERFW-PROXY -m set ! --match-set office src -m comment --comment "dockerfw default" -j DROP
`

// Rules of the security table, for faults.
const (
	fallbackDefault = `-A DOCKERFW -i eth0 -m set ! --match-set office src -m comment --comment "dockerfw default" -j DROP` + "\n"
	fallbackWeb     = `--ctstate NEW -m comment --comment "dockerfw accept web" -j RETURN`
)

const correctSets = `create office hash:net family inet
add office 192.0.2.0/24
create banned hash:net family inet
`

func TestOnlyTextWithTheVerdictsOfThePolicyIsProved(t *testing.T) {
	name := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(name, []byte(policyText), 0o600); err != nil {
		t.Fatal(err)
	}
	policy := evaluate(name)
	for _, c := range []struct {
		name, old, new string
		// want is part of the error, "" for none.
		want string
	}{
		{"correct text", "", "", ""},
		{"rules without effect on any packet", "COMMIT\n*security", "-A DOCKER-USER -j RETURN\nCOMMIT\n*security", ""},
		{"an unmanaged set with elements that the policy does not know", "create banned hash:net family inet\n", "create banned hash:net family inet\nadd banned 203.0.113.0/24\n", ""},
		{"another published port", "--ctorigdstport 443", "--ctorigdstport 444", `is "accept" by the policy (accept web) and "drop" by the text (dockerfw default)`},
		{"a missing deny", `-A DOCKER-USER -i eth0 -m set --match-set banned src -m comment --comment "dockerfw deny banned" -j DROP` + "\n", "", `is "drop" by the policy (deny banned)`},
		{"a wider set", "add office 192.0.2.0/24", "add office 192.0.2.0/23", `is "drop" by the policy (default) and "docker" by the text (no rule)`},
		{"a missing fallback rule", fallbackDefault, "", `security table: the verdict on `},
		{"no fallback rules", correctRules[strings.Index(correctRules, "*security"):], "", `is "drop" by the policy (deny banned) and "docker" by the text (no rule)`},
		{"a fallback rule that refuses what is above a limit", fallbackWeb, "--ctstate NEW -m hashlimit --hashlimit-upto 90/min --hashlimit-burst 5 --hashlimit-name web -m comment --comment \"dockerfw accept web\" -j RETURN", `security table: the verdict on `},
		{"a fallback rule that refuses more", `-A DOCKERFW -i eth0 -m set !`, `-A DOCKERFW -m set !`, `is "docker" by the policy (no rule) and "drop" by the text (dockerfw default)`},
		{"a fallback rule that accepts", fallbackWeb, strings.Replace(fallbackWeb, "RETURN", "ACCEPT", 1), `is "docker" by the policy (accept web) and "accept" by the text (dockerfw accept web)`},
		{"a fallback rule that answers", fallbackDefault, strings.Replace(fallbackDefault, "-j DROP", "-j REJECT --reject-with icmp-admin-prohibited", 1), `is "drop" by the policy (default) and "reject icmp-admin-prohibited" by the text (dockerfw default)`},
		{"no fallback rules for the host", fallbackInput, "", `security table: the verdict on tcp 198.51.100.1:40000 -> 192.0.2.1:443 in eth0 NEW [source in banned] is "drop" by the policy (deny banned) and "docker" by the text (no rule)`},
		{"fallback rules for the host that refuse more", fallbackInput, strings.Replace(fallbackInput, "-p tcp -m tcp --dport 443 -m comment", "-p tcp -m comment", 1), `is "docker" by the policy (not protected) and "drop" by the text (dockerfw deny banned)`},
		{"a fallback rule for the host that accepts", fallbackInput, strings.Replace(fallbackInput, "web\" -j RETURN", "web\" -j ACCEPT", 1), `is "docker" by the policy (accept web) and "accept" by the text (dockerfw accept web)`},
		{"a missing limit", " -m hashlimit --hashlimit-upto 90/min --hashlimit-burst 5 --hashlimit-name web", "", `and "accept" by the text (dockerfw accept web)`},

		{"INPUT protection without its default", `-A DOCKERFW-PROXY -m set ! --match-set office src -m comment --comment "dockerfw default" -j DROP` + "\n", "", `is "drop" by the policy (default) and "docker" by the text (no rule)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := correctRules + "\x00" + correctSets
			if !strings.Contains(text, c.old) {
				t.Fatalf("the text does not contain %q", c.old)
			}
			rules, sets, _ := strings.Cut(strings.ReplaceAll(text, c.old, c.new), "\x00")
			err := proof.Prove(policy, nil, load(rules, sets))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
			together(t, policy, load(rules, sets), load(correctRules, correctSets))
		})
	}
}

// together checks that what is proved together has the same results as alone.
func together(t *testing.T, policy *parser.Policy, texts ...proof.Loaded) {
	t.Helper()
	for _, path := range proof.Paths {
		for i := range 1 << len(texts) {
			var subjects []proof.Subject
			var want []error
			for k := range len(texts) {
				loaded := texts[i>>k&1]
				subjects = append(subjects, proof.Subject{Policy: policy, Loaded: loaded})
				want = append(want, proof.ProvePath(policy, nil, loaded, path))
			}
			if got := proof.ProveTogether(path, subjects...); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("together %v, alone %v", got, want)
			}
		}
	}
}

// With the chain DOCKER, only packets for containers meet the policy, and the security table may
// refuse nothing in FORWARD.
func TestWithTheChainDockerThereAreNoFallbackRulesForForwardedPackets(t *testing.T) {
	name := filepath.Join(t.TempDir(), "policy.hcl")
	text := strings.Replace(policyText, `external_interfaces = ["eth0"]`, "external_interfaces = [\"eth0\"]\nchain = \"DOCKER\"\ninstall = \"insert\"", 1)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	policy := evaluate(name)
	filter, _, _ := strings.Cut(correctRules, "*security")
	filter += "*security\n" + fallbackInput + "COMMIT\n"
	if err := proof.Prove(policy, nil, load(filter, correctSets)); err != nil {
		t.Error(err)
	}
	err := proof.Prove(policy, nil, load(correctRules, correctSets))
	if want := `is "docker" by the policy (no rule) and "drop" by the text (dockerfw deny banned)`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one with %q", err, want)
	}
}
