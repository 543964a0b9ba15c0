//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/nftpolicy"
)

var endOfRule = regexp.MustCompile(`meta time < (\d+)`)

// asListed returns the text of a table as this release of nft lists it: docs/contributing/netfilter.md, "Printed
// tables".
func asListed(t fataler, table, version string) string {
	t.Helper()
	if strings.Contains(version, "v1.0.") {
		table = strings.NewReplacer(" burst 5 packets", "", "icmp code 4 ", "icmp code frag-needed ").Replace(table)
	}
	return endOfRule.ReplaceAllStringFunc(table, func(match string) string {
		seconds, err := strconv.ParseInt(endOfRule.FindStringSubmatch(match)[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("meta time < %q", time.Unix(seconds, 0).UTC().Format(time.DateTime))
	})
}

// Each example, compiled for target nftables, is loaded, also a second time; the table is listed as it was printed; and
// the removal leaves nothing.
func TestNFTablesFilesAreListedAsPrinted(t *testing.T) {
	t.Parallel()
	lab.Require(t, "nft")
	ns := lab.NewNamespace(t, "nftables")
	version := ns.MustRun("nft", "--version")
	policies, err := filepath.Glob("../../examples/*/*.hcl*")
	if err != nil || len(policies) == 0 {
		t.Fatal("no examples", err)
	}
	name := ir.NFTFamily + " " + ir.NFTTable
	tables := 0
	seen := map[string]bool{}
	for _, path := range policies {
		dir := filepath.Dir(path)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		policy := filepath.Join(t.TempDir(), filepath.Base(dir))
		if err := nftpolicy.Copy(dir, policy); err != nil {
			t.Fatal(err)
		}
		result, diags := driver.Policy(policy, driver.Options{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for _, h := range result.Hosts {
			files := map[string]string{}
			for _, f := range h.Files {
				files[f.Name] = string(f.Content)
			}
			where := filepath.Join(filepath.Base(dir), h.Label())
			for range 2 {
				if _, _, err := ns.Input(files[folder.NFTFile], "nft", "-f", "-"); err != nil {
					t.Fatalf("%s: %v", where, err)
				}
			}
			_, table, ok := strings.Cut(files[folder.NFTFile], "flush table "+name+"\n")
			if !ok {
				t.Fatalf("%s: the file does not flush the table", where)
			}
			want := asListed(t, table, version)
			got := ns.MustRun("env", "TZ=UTC", "nft", "list", "table", ir.NFTFamily, ir.NFTTable)
			if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-printed +listed by nft):\n%s", where, diff)
			}
			for range 2 {
				if _, _, err := ns.Input(files[folder.NFTRemoval], "nft", "-f", "-"); err != nil {
					t.Fatalf("%s: %v", where, err)
				}
			}
			if left := ns.MustRun("nft", "list", "ruleset"); left != "" {
				t.Errorf("%s: the removal leaves\n%s", where, left)
			}
			tables++
		}
	}
	if tables < 20 {
		t.Errorf("only %d tables", tables)
	}
}

// The command of docs/operations.md creates the sets of a file with their elements, and changes no rule.
func TestTheSetsOfATableAreLoadedFirst(t *testing.T) {
	lab.Require(t, "nft", "sed")
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	const file = "compiled/dockerfw.nft"
	command := regexp.MustCompile(`(?m)^(sed .*` + file + ` \| nft -f -) `).FindSubmatch(doc)
	if command == nil {
		t.Fatal("the command is not in docs/operations.md")
	}
	ns := lab.NewNamespace(t, "nftables")
	objects := regexp.MustCompile(`(?ms)^\t(set|chain) (\S+) \{\n.*?^\t\}\n`)
	table := func() map[string]string {
		t.Helper()
		out := map[string]string{}
		for _, m := range objects.FindAllStringSubmatch(ns.MustRun("nft", "list", "table", ir.NFTFamily, ir.NFTTable), -1) {
			out[m[1]+" "+m[2]] = m[0]
		}
		return out
	}
	load := func(network string) (after map[string]string) {
		t.Helper()
		policy := fmt.Sprintf("host {\n  external_interfaces = [\"eth0\"]\n  target = \"nftables\"\n}\nipset \"office\" {\n  entries = [%q, \"2001:db8::/48\"]\n}\nipset \"banned\" {\n  managed = false\n}\ndeny \"banned\" {\n  source = [ipset.banned]\n}\naccept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [443]\n  source = [%q, \"192.0.2.0/24\"]\n  rate {\n    limit = \"5/second\"\n  }\n}\ndefault {\n  allow = [ipset.office]\n}\n", network, network)
		text := string(filesOf(t, policy)[folder.NFTFile])
		path := filepath.Join(t.TempDir(), folder.NFTFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		before := map[string]string{}
		if strings.Contains(ns.MustRun("nft", "list", "ruleset"), ir.NFTTable) {
			before = table()
		}
		ns.MustRun("sh", "-c", strings.ReplaceAll(string(command[1]), file, path))
		want := before
		for _, m := range objects.FindAllStringSubmatch(text, -1) {
			if m[1] == "set" {
				want[m[1]+" "+m[2]] = m[0]
			}
		}
		if diff := cmp.Diff(want, table()); diff != "" {
			t.Errorf("-want +loaded:\n%s", diff)
		}
		ns.MustRun("nft", "-f", path)
		return table()
	}
	first, second := load("198.51.100.0/24"), load("203.0.113.0/24")
	if len(first) < 8 || len(second) != len(first)+2 || first["chain dockerfw-in"] == second["chain dockerfw-in"] {
		t.Errorf("%d objects, then %d", len(first), len(second))
	}
}

// Elements that others add to an unmanaged set are kept when the table is loaded again.
func TestReloadingTheTableOfNFTKeepsWhatOthersAdded(t *testing.T) {
	t.Parallel()
	lab.Require(t, "nft")
	ns := lab.NewNamespace(t, "nftables")
	path := filepath.Join(t.TempDir(), "policy.hcl")
	load := func(port int) {
		policy := fmt.Sprintf("host {\n  external_interfaces = [\"eth0\"]\n  target = \"nftables\"\n}\nipset \"banned\" {\n  managed = false\n}\ndeny \"banned\" {\n  source = [ipset.banned]\n}\naccept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [%d]\n}\n", port)
		if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
			t.Fatal(err)
		}
		result, diags := driver.Policy(path, driver.Options{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		if _, _, err := ns.Input(string(result.Hosts[0].Files[0].Content), "nft", "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	load(80)
	ns.MustRun("nft", "add", "element", ir.NFTFamily, ir.NFTTable, "banned", "{ 192.0.2.7, 198.51.100.0/24 timeout 1h }")
	load(81)
	for _, want := range []string{"192.0.2.7", "198.51.100.0/24", "proto-dst 81"} {
		if got := ns.MustRun("nft", "list", "table", ir.NFTFamily, ir.NFTTable); !strings.Contains(got, want) {
			t.Errorf("%s is missing:\n%s", want, got)
		}
	}
}
