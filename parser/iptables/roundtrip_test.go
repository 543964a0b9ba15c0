package iptables_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/iptables"
)

func noDiags(t *testing.T, diags hcl.Diagnostics) {
	t.Helper()
	for _, d := range diags {
		t.Errorf("unexpected: %v", d)
	}
}

func files(t *testing.T, patterns ...string) []string {
	t.Helper()
	var out []string
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join("testdata", p))
		if err != nil || len(found) == 0 {
			t.Fatalf("no files %s: %v", p, err)
		}
		out = append(out, found...)
	}
	return out
}

func family(name string) iptables.Family {
	if strings.Contains(name, "v6") {
		return iptables.IPv6
	}
	return iptables.IPv4
}

func TestSavedRulesArePrintedLineByLineAsTheyWere(t *testing.T) {
	for _, name := range files(t, "*.save", "real/*.save", "*.restore", "*.remove") {
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			file, diags := iptables.ParseRules(bytes.NewReader(src), name)
			noDiags(t, diags)
			var got bytes.Buffer
			if err := file.Print(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(withoutComments(string(src)), got.String()); diff != "" {
				t.Errorf("printed differently (-file +printed):\n%s", diff)
			}
		})
	}
}

func TestSavedRulesAreCanonical(t *testing.T) {
	for _, name := range files(t, "*.save", "*.restore") {
		file := parseFile(t, name)
		for _, b := range file.Blocks {
			for _, c := range b.Commands {
				if c.Rule == nil {
					continue
				}
				if got := c.Rule.Canonical(family(name)); got != c.Rule.Text {
					t.Errorf("%s:\n canonical %s\n saved     %s", c.Range, got, c.Rule.Text)
				}
			}
		}
	}
}

func TestLoadingSavedRulesIsStable(t *testing.T) {
	for _, name := range files(t, "*.save", "real/*.save") {
		rs := iptables.NewRuleset(family(name))
		noDiags(t, rs.Load(parseFile(t, name)))
		var first, second bytes.Buffer
		if err := rs.Print(&first); err != nil {
			t.Fatal(err)
		}
		file, diags := iptables.ParseRules(&first, name)
		noDiags(t, diags)
		again := iptables.NewRuleset(family(name))
		noDiags(t, again.Load(file))
		if err := again.Print(&second); err != nil {
			t.Fatal(err)
		}
		first.Reset()
		if err := rs.Print(&first); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.String(), second.String()); diff != "" {
			t.Errorf("%s (-first +second):\n%s", name, diff)
		}
	}
}

func TestSavedSetsArePrintedLineByLineAsTheyWere(t *testing.T) {
	for _, name := range files(t, "*.ipset") {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, diags := iptables.ParseSets(bytes.NewReader(src), name)
		noDiags(t, diags)
		var sets iptables.Sets
		noDiags(t, sets.Load(file))
		var got bytes.Buffer
		if err := file.Print(&got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(withoutComments(string(src)), got.String()); diff != "" {
			t.Errorf("printed differently (-file +printed):\n%s", diff)
		}
	}
}

func parseFile(t *testing.T, name string) *iptables.RulesFile {
	t.Helper()
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, diags := iptables.ParseRules(bytes.NewReader(src), name)
	noDiags(t, diags)
	return file
}

func withoutComments(src string) string {
	var out strings.Builder
	for l := range strings.Lines(src) {
		if !strings.HasPrefix(l, "#") {
			out.WriteString(l)
		}
	}
	return out.String()
}
