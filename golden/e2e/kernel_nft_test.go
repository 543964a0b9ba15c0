//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/compiler/proof"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// listed returns what nft lists, read from its text and from its JSON.
func listed(t *testing.T, ns *lab.Namespace, args ...string) (fromText, fromJSON *nft.Ruleset) {
	t.Helper()
	fromText, diags := nft.ParseText([]byte(ns.MustRun(append([]string{"env", "TZ=UTC", "nft"}, args...)...)), "nft")
	for _, d := range diags {
		t.Error(d)
	}
	fromJSON, err := nft.Parse([]byte(ns.MustRun(append([]string{"env", "TZ=UTC", "nft", "-j"}, args...)...)))
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

// listedPolicy has rules with every condition that nft prints otherwise than the compiled file.
const listedPolicy = `
host {
  external_interfaces = ["eth0", "wg+"]
  target              = "nftables"
  proxy_ports         = ["8080/tcp"]
}
ipset "office" { entries = ["192.0.2.0/24", "198.51.100.3-198.51.100.9", "2001:db8:1::/48"] }
ipset "banned" { managed = false }
established { sessions = "recheck" }
deny "banned" { source = [ipset.banned] }
deny "flood" {
  protocol        = "udp"
  published_ports = [53]
  rate { limit = "5/second" }
}
deny "ident" {
  protocol        = "tcp"
  published_ports = [113]
  source_not      = ["2001:db8:1::/48"]
  action          = "reject"
}
accept "web" {
  protocol          = "tcp"
  published_ports   = [443, "8000-8010"]
  published_address = ["203.0.113.1", "2001:db8::80"]
  expires           = "2037-12-31"
  log {}
}
accept "ssh" {
  protocol        = "tcp"
  published_ports = [22]
  source          = [ipset.office, "10.0.0.0/8"]
  connections {
    max           = 3
    per_prefix_v4 = 24
  }
}
accept "ping" { icmp_types = ["echo-request"] }
accept "icmp" {
  protocol   = "icmp"
  icmp_types = ["3/4", "13"]
}
accept "others" { protocol = [47, "icmpv6", 51, 138] }
accept "dns" {
  protocol        = ["tcp", "udp"]
  container_ports = [53]
  rate {
    limit = "90/minute"
    per   = "rule"
  }
}
default {
  allow  = [ipset.office]
  action = "reject"
}
`

// What nft lists after the compiled file was loaded, as text and as JSON, is proved as the file is.
func TestTheListedTableHasTheVerdictsOfThePolicy(t *testing.T) {
	t.Parallel()
	lab.Require(t, "nft")
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(listedPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	for _, d := range diags.Errs() {
		t.Error(d)
	}
	if diags.HasErrors() {
		t.FailNow()
	}
	host := result.Hosts[0]
	ns := lab.NewNamespace(t, "nftlisted")
	for _, f := range host.Files {
		if f.Name != folder.NFTFile {
			continue
		}
		if _, stderr, err := ns.Input(string(f.Content), "nft", "-f", "-"); err != nil {
			t.Fatal(err, stderr)
		}
	}
	// nft prints moments in the time zone of its process.
	fromText, fromJSON := listed(t, ns, "list", "table", ir.NFTFamily, ir.NFTTable)
	for from, ruleset := range map[string]*nft.Ruleset{"text": fromText, "JSON": fromJSON} {
		table := ruleset.Table(ir.NFTFamily, ir.NFTTable)
		prove := func() error {
			sets := netfilter.NewNFTSets(table)
			for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
				if err := proof.ProveNFT(host.Policy, nil, proof.LoadedNFT{Family: f, Table: table, Sets: sets}); err != nil {
					return err
				}
			}
			return nil
		}
		if err := prove(); err != nil {
			t.Errorf("%s: %v", from, err)
		}
		c := table.Chain(ir.NFTForward)
		c.Rules = c.Rules[:len(c.Rules)-1]
		if prove() == nil {
			t.Errorf("%s: a table without one of its rules is proved", from)
		}
	}
}
