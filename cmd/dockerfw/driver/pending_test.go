package driver

import (
	"path/filepath"
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
