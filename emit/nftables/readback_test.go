package nftables

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// load returns the table of a text.
func load(t *testing.T, text string) *nft.Table {
	t.Helper()
	file, diags := nft.ParseFile([]byte(text), "table")
	host := &nft.Ruleset{}
	if !diags.HasErrors() {
		diags = append(diags, host.Load(file)...)
	}
	if diags.HasErrors() {
		t.Fatalf("%s\n%s", diags, text)
	}
	return host.Table(ir.NFTFamily, ir.NFTTable)
}

// sample returns a table with each sample of a match and of a verdict.
func sample() *Tables {
	t := &Tables{Chains: []*Chain{{Name: ir.NFTForward, Base: true}, {Name: "dockerfw-in"}}}
	id := ir.RuleID{Phase: ir.PhaseAccept, Name: "web"}
	known := map[string]bool{}
	for _, c := range matchTexts {
		r := &Rule{ID: id, Matches: []Match{c.match}, Verdict: Drop{}}
		t.Chains[1].Rules = append(t.Chains[1].Rules, r)
		set := &Set{Kind: Managed}
		switch m := c.match.(type) {
		case SetMatch:
			set.Name, set.Family = m.Set, m.Family
		case SourceLimit:
			set.Name, set.Family, set.Kind, set.Size, set.Timeout = m.Set, m.Family, Dynamic, 65535, 1e9
		case SourceConnections:
			set.Name, set.Family, set.Kind, set.Size = m.Set, m.Family, Dynamic, 65535
		default:
			continue
		}
		if !known[set.Name] {
			known[set.Name] = true
			t.Sets = append(t.Sets, set)
		}
	}
	for _, c := range verdictTexts {
		t.Chains[0].Rules = append(t.Chains[0].Rules, &Rule{ID: id, Verdict: c.verdict})
	}
	return t
}

func TestEveryMatchAndVerdictIsReadBack(t *testing.T) {
	tables := sample()
	// The time of the sample is in another zone, and means the same.
	for _, r := range tables.Chains[1].Rules {
		if m, ok := r.Matches[0].(Time); ok {
			r.Matches[0] = Time{m.Until.UTC()}
		}
	}
	if err := tables.ReadBack(load(t, string(Table(tables, "")))); err != nil {
		t.Error(err)
	}
}

// Faults in the text of a golden, as texts and their replacements. Those that packets show are in the tests of the
// proof; the read-back also finds others.
func TestFaultsInTheTextAreReadBack(t *testing.T) {
	tables := sample()
	for _, r := range tables.Chains[1].Rules {
		if m, ok := r.Matches[0].(Time); ok {
			r.Matches[0] = Time{m.Until.UTC()}
		}
	}
	tables.Sets[0].Prefixes = ir.PrefixesOf(prefix("192.0.2.0/24"))
	text := string(Table(tables, ""))
	for _, c := range [][2]string{
		{"192.0.2.0/24 }\n\t}", "192.0.2.0/25 }\n\t}"},
		{"size 65535", "size 65536"},
		{"flags dynamic,timeout", "flags dynamic"},
		{`log prefix "x" group 0`, `log prefix "y" group 0`},
		{`log prefix "x" group 0`, `log prefix "x" group 1`},
		{`level err`, `level info`},
		{`log prefix "dockerfw web: "`, `log prefix "dockerfw web: " level info`},
		{"limit rate 10/minute burst 5", "limit rate 10/minute burst 6"},
		{"limit rate 10/minute", "limit rate 11/minute"},
		{"limit rate over 1/day", "limit rate 1/day"},
		{"ct count over 3", "ct count 3"},
		{"& 255.255.255.128", "& 255.255.255.0"},
		{"accept web", "accept other"},
		{"accept web", "deny web"},
		{"\t\treturn comment \"dockerfw accept web\"\n", ""},
		{"chain dockerfw-in {", "chain other {\n\t}\n\n\tchain dockerfw-in {"},
		{"\t\taccept comment \"dockerfw accept web\"\n\t\treturn comment \"dockerfw accept web\"\n", "\t\treturn comment \"dockerfw accept web\"\n\t\taccept comment \"dockerfw accept web\"\n"},
	} {
		wrong := strings.Replace(text, c[0], c[1], 1)
		if wrong == text {
			t.Errorf("the text has no %q", c[0])
			continue
		}
		if err := tables.ReadBack(load(t, wrong)); err == nil {
			t.Errorf("%q instead of %q is not found", c[1], c[0])
		}
	}
}

func TestGoldensAreRead(t *testing.T) {
	files, err := filepath.Glob("../../golden/nftables/*/dockerfw.nft")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens", err)
	}
	for _, name := range slices.Sorted(slices.Values(files)) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range load(t, string(text)).Chains {
			for _, r := range c.Rules {
				back, err := readRule(r)
				if err != nil {
					t.Errorf("%s: %s: %v", name, r.Text(), err)
				} else if !strings.Contains(string(text), "\t\t"+Spec(back)+"\n") {
					t.Errorf("%s: %s is printed as %s", name, r.Text(), Spec(back))
				}
			}
		}
	}
}
