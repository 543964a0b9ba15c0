//go:build linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// listed returns what nft lists, read from its text and from its JSON.
func listed(t *testing.T, ns *lab.Namespace, args ...string) (fromText, fromJSON *nft.Ruleset) {
	t.Helper()
	fromText, diags := nft.ParseText([]byte(ns.MustRun(append([]string{"nft"}, args...)...)), "nft")
	for _, d := range diags {
		t.Error(d)
	}
	fromJSON, err := nft.Parse([]byte(ns.MustRun(append([]string{"nft", "-j"}, args...)...)))
	if err != nil {
		t.Fatal(err)
	}
	return fromText, fromJSON
}

func TestTextAndJSONOfNFTAreReadAsTheSame(t *testing.T) {
	t.Parallel()
	lab.Require(t, "nft")
	ns := lab.NewNamespace(t, "nfttext")
	forms, err := os.ReadFile("../../parser/nft/testdata/forms.nft")
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, err := ns.Input(string(forms), "nft", "-f", "-"); err != nil {
		t.Fatal(err, stderr)
	}
	fromText, fromJSON := listed(t, ns, "list", "ruleset")
	for _, table := range fromJSON.Tables {
		diff := cmp.Diff(table, fromText.Table(table.Family, table.Name), cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(hcl.Range{}),
			cmpopts.IgnoreFields(nft.Rule{}, "Handle"), cmpopts.IgnoreFields(nft.Set{}, "AutoMerge"),
			cmp.FilterPath(func(p cmp.Path) bool {
				key, ok := p.Last().(cmp.MapIndex)
				return ok && key.Key().String() == "expires"
			}, cmp.Ignore()))
		if diff != "" {
			t.Errorf("JSON (-), text (+):\n%s", diff)
		}
	}
	if len(fromText.Tables) < 5 {
		t.Errorf("only %d tables", len(fromText.Tables))
	}
}

// nft prints names for some of the numbers of protocols and of ICMP types and codes; which ones
// depends on its release. All of them are known.
func TestNumbersThatNFTPrintsAsNamesAreKnown(t *testing.T) {
	t.Parallel()
	lab.Require(t, "nft")
	ns := lab.NewNamespace(t, "nftnames")
	proto := func(n uint8) packet.Cond { return packet.Proto{Numbers: []uint8{n}} }
	for _, c := range []struct {
		match  string
		first  int
		family ir.Family
		want   func(n uint8) packet.Cond
	}{
		{"meta l4proto", 1, ir.IPv4, proto},
		{"icmp type", 0, ir.IPv4, func(n uint8) packet.Cond { return packet.ICMPType{FirstType: n, LastType: n, LastCode: 255} }},
		{"icmp code", 0, ir.IPv4, func(n uint8) packet.Cond { return packet.ICMPType{LastType: 255, FirstCode: n, LastCode: n} }},
		{"icmpv6 type", 0, ir.IPv6, func(n uint8) packet.Cond { return packet.ICMPType{FirstType: n, LastType: n, LastCode: 255} }},
		{"icmpv6 code", 0, ir.IPv6, func(n uint8) packet.Cond { return packet.ICMPType{LastType: 255, FirstCode: n, LastCode: n} }},
	} {
		table := strings.ReplaceAll(c.match, " ", "-")
		text := "table inet " + table + " {\n\tchain c {\n\t\ttype filter hook forward priority 0\n"
		for n := c.first; n < 256; n++ {
			text += fmt.Sprintf("\t\t%s %d drop\n", c.match, n)
		}
		if _, stderr, err := ns.Input(text+"\t}\n}\n", "nft", "-f", "-"); err != nil {
			t.Fatal(err, stderr)
		}
		fromText, fromJSON := listed(t, ns, "list", "table", "inet", table)
		for from, ruleset := range map[string]*nft.Ruleset{"text": fromText, "JSON": fromJSON} {
			read := ruleset.Table("inet", table)
			rules := netfilter.NFTProgram(read, read.Chain("c"), c.family).Chains[0].Rules
			if len(rules) != 256-c.first {
				t.Fatalf("%s: %d rules", c.match, len(rules))
			}
			for i, r := range rules {
				want := c.want(uint8(c.first + i)).String()
				var got []string
				for _, m := range r.Matches {
					got = append(got, m.String())
				}
				if all := strings.Join(got, " and "); !strings.Contains(all, want) {
					t.Errorf("%s, from %s: %s means %s, want %s", c.match, from, r.Text, all, want)
				}
			}
		}
	}
}
