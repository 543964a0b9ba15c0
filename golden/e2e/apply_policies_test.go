//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/golden/lab/policies"
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

// deployPolicies returns the compiled folders of all policies for real hosts.
func deployPolicies(t *testing.T) []*deployed {
	t.Helper()
	var out []*deployed
	for _, p := range policies.Real() {
		out = append(out, compileFolder(t, p.Name, p.Text))
	}
	return out
}

func deployPolicy(t *testing.T, name string) *deployed {
	t.Helper()
	text := policies.Text(name)
	if text == "" {
		t.Fatalf("no policy %q", name)
	}
	return compileFolder(t, name, text)
}
