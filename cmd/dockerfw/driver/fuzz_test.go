package driver

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// Limits of iptables 1.8.9 and ipset 7.17, in bytes per line without the newline. Both cut
// longer lines silently.
const (
	maxRulesLine = 10239
	maxSetsLine  = 1023
)

// FuzzPolicy compiles arbitrary text. Either there are errors and no output, or the output
// passes the driver's own proof, is the same twice, and keeps to the limits of the tools
// that load it.
func FuzzPolicy(f *testing.F) {
	examples, err := filepath.Glob("../../../examples/*/policy.hcl")
	if err != nil || len(examples) == 0 {
		f.Fatal("no examples: ", err)
	}
	for _, name := range examples {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("")
	f.Add("host {\n  external_interfaces = [\"eth0\"]\n}\naccept \"a\" {\n  for_each = {a = 1}\n  source = [each.value]\n}")
	f.Add("host {\n  external_interfaces = [for i in range(3) : \"eth${i}\"]\n}\nlocals {\n  a = local.b\n  b = local.a\n}")
	f.Add("host \"a\" {\n  external_interfaces = [host.name]\n}\nipset \"s\" {\n  entries = [cidrsubnet(\"10.0.0.0/8\", 8, 3)]\n  exclude = [\"10.3.0.0-10.3.9.9\"]\n}\ndeny \"d\" {\n  source = [ipset.s]\n}")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(dir, "policy.hcl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, diags := Policy(path, Options{})
		if diags.HasErrors() {
			if result.Hosts != nil {
				t.Error("errors, but also hosts")
			}
			for _, d := range diags {
				if d.Summary == "internal error" {
					t.Error(d)
				}
			}
			return
		}
		first := result.Folder()
		again, _ := Policy(path, Options{})
		if !maps.EqualFunc(first, again.Folder(), bytes.Equal) {
			t.Error("compiling again gives different bytes")
		}
		for name, content := range first {
			limit := map[string]int{".restore": maxRulesLine, ".remove": maxRulesLine}[filepath.Ext(name)]
			if filepath.Base(name) == "ipset.restore" || filepath.Base(name) == "ipset.remove" {
				limit = maxSetsLine
			}
			for line := range bytes.Lines(content) {
				if limit > 0 && len(line) > limit+1 {
					t.Errorf("%s: a line of %d bytes", name, len(line))
				}
			}
		}
	})
}
