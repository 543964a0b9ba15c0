//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// rulesOf are the rules of a chain of the filter table.
func (h *target) rulesOf(family int, chain string) (out []string) {
	h.t.Helper()
	for line := range strings.Lines(h.IPTablesSave(h.backend, family, "filter")) {
		if rule, ok := strings.CutPrefix(strings.TrimSpace(line), "-A "+chain+" "); ok {
			out = append(out, rule)
		}
	}
	return out
}

// fail2ban inserts its jump at the head of the chain whenever it starts. It refuses packets and
// lets none through, so that dockerfw leaves it there.
func TestAJumpThatFail2banInsertsAgainIsLeftAlone(t *testing.T) {
	onBackends(t, func(h *target) {
		h.addDockerChains(h.backend)
		for _, name := range []string{"a jump", "clients"} {
			p := deployPolicy(h.t, name)
			h.succeeds(p, nil, "loaded")
			for _, chain := range []string{"DOCKER-USER", "INPUT", "FORWARD"} {
				if name == "clients" && chain == "DOCKER-USER" {
					continue // foreign rules there are refused
				}
				for _, f := range []int{4, 6} {
					ban := "f2b-" + strings.ToLower(chain)
					source := map[int]string{4: "192.0.2.66", 6: "2001:db8::66"}[f]
					if err := h.IPTablesRestore(h.backend, f, "*filter\n:"+ban+" - [0:0]\n-A "+ban+" -s "+source+" -j REJECT\n-A "+ban+" -j RETURN\n-I "+chain+" 1 -p tcp -j "+ban+"\nCOMMIT\n"); err != nil {
						h.t.Fatal(err)
					}
				}
				before := h.saved()
				h.succeeds(p, nil, "nothing to do")
				h.requireUnchanged(before)
				// It stays where it is when another policy is loaded.
				h.succeeds(p, []string{"--dry-run"}, "nothing to do")
				for _, f := range []int{4, 6} {
					ban := "f2b-" + strings.ToLower(chain)
					if rules := h.rulesOf(f, chain); !strings.HasSuffix(rules[0], "-j "+ban) {
						h.t.Errorf("IPv%d %s: %q", f, chain, rules)
					}
					if err := h.IPTablesRestore(h.backend, f, "*filter\n-D "+chain+" -p tcp -j "+ban+"\n-F "+ban+"\n-X "+ban+"\nCOMMIT\n"); err != nil {
						h.t.Fatal(err)
					}
				}
				if h.t.Failed() {
					h.t.Fatal(name, chain)
				}
			}
			h.expect(h.remove(), 0)
		}
	})
}

func TestAJumpGoesAheadOfAForeignACCEPTOnce(t *testing.T) {
	onBackends(t, func(h *target) {
		h.addDockerChains(h.backend)
		// In INPUT, only protected ports are refused.
		p := compileFolder(h.t, "a protected port", `
host {
  external_interfaces = ["eth0"]
  install             = "jump"
}
ipset "clients" { entries = ["198.51.100.10"] }
accept "https" {
  source          = [ipset.clients]
  protocol        = "tcp"
  published_ports = [443]
}
`)
		h.succeeds(p, nil, "loaded")
		for chain, to := range map[string]string{"DOCKER-USER": "DOCKERFW", "INPUT": "DOCKERFW-INPUT", "FORWARD": "DOCKER-USER"} {
			h.rule(4, "-I", chain, "1", "-s", "192.0.2.0/24", "-j", "ACCEPT")
			move := "IPv4 " + chain + ": move the jump to " + to
			h.succeeds(p, []string{"--dry-run"}, "would change:", move)
			h.succeeds(p, nil, "loaded")
			rules := h.rulesOf(4, chain)
			if rules[0] != "-j "+to || rules[1] != "-s 192.0.2.0/24 -j ACCEPT" || strings.Count(strings.Join(rules, "\n"), "-j "+to+"\n") != 1 {
				h.t.Errorf("%s: %q", chain, rules)
			}
			h.requireLoaded(p)
			after := h.saved()
			h.succeeds(p, nil, "nothing to do")
			h.requireUnchanged(after)
			h.rule(4, "-D", chain, "-s", "192.0.2.0/24", "-j", "ACCEPT")
			if h.t.Failed() {
				h.t.Fatal(chain)
			}
		}
	})
}
