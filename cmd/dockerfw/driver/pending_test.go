package driver

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockerfw/dockerfw/emit/folder"
)

// Equal hosts, and more different ones than are kept.
func TestPendingHostsAreThoseOfPolicy(t *testing.T) {
	own := "accept \"own\" {\n  protocol        = \"tcp\"\n  published_ports = [20000 + var.number]\n}\n"
	for name, text := range map[string]string{"one host": one, "equal hosts": fleet(5, 3), "different hosts": fleet(pendingKept+5, 3) + own} {
		t.Run(name, func(t *testing.T) {
			path := policyFile(t, text)
			atOnce, diags := Policy(path, Options{})
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			pending, _, diags := Begin(path, Options{})
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			defer pending.Close()
			keys := map[Key]bool{}
			for i := range pending.Labels {
				unproved, err := pending.Host(i)
				if err != nil {
					t.Fatal(err)
				}
				got, diags := unproved.Prove()
				if diags.HasErrors() {
					t.Fatal(diags)
				}
				want := atOnce.Hosts[i]
				if diff := cmp.Diff(want.Files, got.Files, cmpopts.IgnoreUnexported(folder.File{})); diff != "" || pending.Labels[i] != want.Label() {
					t.Errorf("host %q (-policy +pending):\n%.2000s", pending.Labels[i], diff)
				}
				keys[unproved.Key()] = true
			}
			if equal := len(keys) == 1; equal != (name != "different hosts") {
				t.Errorf("%d hosts have %d keys", len(pending.Labels), len(keys))
			}
		})
	}
}

const one = "host {\n  external_interfaces = [\"eth0\"]\n}\ndefault {}\n"

func TestAWrongPolicyHasNoPendingHosts(t *testing.T) {
	for name, text := range map[string]string{"no host": "default {}\n", "an error": one + "accept \"web\" {\n  published_ports = [0]\n}\n"} {
		pending, sources, diags := Begin(policyFile(t, text), Options{})
		if pending != nil || !diags.HasErrors() || len(sources) == 0 {
			t.Errorf("%s: %v, %d sources, %v", name, pending, len(sources), diags)
		}
	}
	if _, sources, diags := Begin(filepath.Join(t.TempDir(), "missing.hcl"), Options{}); len(sources) > 0 || !diags.HasErrors() {
		t.Errorf("a missing file: %d sources, %v", len(sources), diags)
	}
}

// Hosts of two policies with rules in common, without, of other families and targets, and with faults in the text or in what it is compared with.
func TestHostsThatAreProvedTogetherHaveTheResultsOfEach(t *testing.T) {
	const host = "host {\n  external_interfaces = [\"eth0\"]\n%s}\n"
	const rules = "accept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [%d]\n  rate {\n    limit = \"5/second\"\n  }\n}\ndefault {\n  allow = [\"192.0.2.0/24\"]\n}\n"
	policies := []string{
		fmt.Sprintf(host+rules, "", 443),
		fmt.Sprintf(host+rules, "", 444),
		fmt.Sprintf(host+rules, "  families = [\"ipv4\"]\n", 443),
		fmt.Sprintf(host+rules, "  families = [\"ipv6\"]\n", 443),
		fmt.Sprintf(host+rules, "  target = \"nftables\"\n", 443),
	}
	const none, inText, inPolicy, kinds = 0, 1, 2, 3
	unproved := func(text string, fault int) Unproved {
		pending, _, diags := Begin(policyFile(t, text), Options{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		t.Cleanup(pending.Close)
		u, err := pending.Host(0)
		if err != nil {
			t.Fatal(err)
		}
		switch fault {
		case none:
			return u
		case inPolicy:
			policy := *u.host.Policy
			policy.Rules = nil
			u.host.Policy = &policy
			return u
		}
		changed := false
		for i, f := range u.host.Files {
			wrong := bytes.Replace(f.Content, []byte("192.0.2.0/24"), []byte("192.0.2.0/23"), 1)
			if f.Name == folder.RulesFile6 && !bytes.Contains(f.Content, []byte("192.0.2.0")) {
				wrong = bytes.Replace(f.Content, []byte("--dport 44"), []byte("--dport 4"), 1)
			}
			changed = changed || !bytes.Equal(wrong, f.Content)
			u.host.Files[i] = folder.File{Name: f.Name, Content: wrong}
		}
		if !changed {
			t.Fatal("the fault changes nothing")
		}
		u.host.key = keyOf(u.host)
		return u
	}
	place := regexp.MustCompile(`/[^ ]*/policy.hcl`)
	result := func(u Unproved) string {
		_, diags := u.Prove()
		return place.ReplaceAllString(fmt.Sprint(diags.Errs()), "policy.hcl")
	}
	wrong := 0
	for i, one := range policies {
		for k, other := range policies {
			for faults := range kinds * kinds {
				a, b := unproved(one, faults%kinds), unproved(other, faults/kinds)
				ProveBoth(a, b)
				for _, c := range []struct {
					together, alone Unproved
				}{{a, unproved(one, faults%kinds)}, {b, unproved(other, faults/kinds)}} {
					got, want := result(c.together), result(c.alone)
					if got != want {
						t.Errorf("policies %d and %d, faults %d: together %s, alone %s", i, k, faults, got, want)
					}
					if want != "[]" {
						wrong++
					}
				}
			}
		}
	}
	if want := len(policies) * len(policies) * 2 * kinds * (kinds - 1); wrong != want {
		t.Errorf("%d hosts have errors, not %d", wrong, want)
	}
}
