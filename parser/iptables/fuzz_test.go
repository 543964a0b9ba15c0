package iptables_test

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Reading never panics, what is printed reads back as the same, and canonical
// text is its own canonical text.
func FuzzParseRules(f *testing.F) {
	seed(f, "docker-engine.save", "docker-v6.save", "ufw-fail2ban.save", "real/home-user.save", "real/openwrt.save", "real/ufw-server.save", "dockerfw.restore", "dockerfw.remove")
	f.Fuzz(func(t *testing.T, src string) {
		file, diags := iptables.ParseRules(strings.NewReader(src), "x")
		sameWithKnown(t, src, file, diags)
		first := printRules(t, file)
		again, _ := iptables.ParseRules(strings.NewReader(first), "x")
		if second := printRules(t, again); second != first {
			t.Errorf("printed\n%s\nread and printed again\n%s", first, second)
		}
		for _, b := range file.Blocks {
			for _, c := range b.Commands {
				if c.Rule != nil {
					canonical(t, c.Rule, iptables.IPv4)
					canonical(t, c.Rule, iptables.IPv6)
				}
			}
		}
		iptables.NewRuleset(iptables.IPv4).Load(file)
	})
}

// sameWithKnown reads a file that another one has lines of, and then again.
func sameWithKnown(t *testing.T, src string, want *iptables.RulesFile, wantDiags hcl.Diagnostics) {
	var known iptables.Known
	known.ParseRules(strings.NewReader("*filter\n"+src[len(src)/2:]), "other")
	withoutRangesInRules(want)
	for range 2 {
		got, diags := known.ParseRules(strings.NewReader(src), "x")
		withoutRangesInRules(got)
		if !reflect.DeepEqual(want, got) {
			t.Errorf("with known lines (-alone +known):\n%s", cmp.Diff(want, got))
		}
		if !reflect.DeepEqual(wantDiags, diags) {
			t.Errorf("diagnostics with known lines (-alone +known):\n%s", cmp.Diff(wantDiags, diags))
		}
	}
}

func withoutRangesInRules(file *iptables.RulesFile) {
	clear := func(options []iptables.Option) {
		for i := range options {
			options[i].Range = hcl.Range{}
		}
	}
	for _, b := range file.Blocks {
		for _, c := range b.Commands {
			if c.Rule == nil {
				continue
			}
			c.Rule.Range = hcl.Range{}
			clear(c.Rule.Base)
			clear(c.Rule.Target)
			for i := range c.Rule.Matches {
				c.Rule.Matches[i].Range = hcl.Range{}
				clear(c.Rule.Matches[i].Options)
			}
		}
	}
}

func canonical(t *testing.T, r *iptables.Rule, family iptables.Family) {
	want := r.Canonical(family)
	file, diags := iptables.ParseRules(strings.NewReader("*filter\n-A U "+want+"\nCOMMIT\n"), "x")
	if diags.HasErrors() {
		// Canonical text may be longer than a line may be.
		if len(want) < 900 {
			t.Errorf("canonical %q of %q: %v", want, r.Text, diags)
		}
		return
	}
	if got := file.Blocks[0].Commands[0].Rule.Canonical(family); got != want {
		t.Errorf("canonical of %q is\n%q, and of that\n%q", r.Text, want, got)
	}
}

func FuzzParseSets(f *testing.F) {
	seed(f, "host.ipset", "dockerfw.ipset")
	f.Fuzz(func(t *testing.T, src string) {
		file, _ := iptables.ParseSets(strings.NewReader(src), "x")
		first := printSets(t, file)
		again, diags := iptables.ParseSets(strings.NewReader(first), "x")
		if second := printSets(t, again); second != first {
			t.Errorf("printed\n%s\nread and printed again\n%s\n%v", first, second, diags)
		}
		var sets iptables.Sets
		sets.Load(file)
	})
}

func seed(f *testing.F, names ...string) {
	for _, name := range names {
		src, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
}

func printRules(t *testing.T, file *iptables.RulesFile) string {
	var b bytes.Buffer
	if err := file.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func printSets(t *testing.T, file *iptables.SetsFile) string {
	var b bytes.Buffer
	if err := file.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
