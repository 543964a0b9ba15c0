package emit

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/emit/nftables"
)

func TestFilesReturnsAllFilesOfAHost(t *testing.T) {
	v6 := program()
	v6.Family = ir.IPv6
	v6.Fallback = []*iptables.Chain{{Name: iptables.FallbackChain, Rules: []*iptables.Rule{{ID: ir.RuleID{Phase: ir.PhaseDefault}, Verdict: iptables.Drop{}}}}}
	rs := &iptables.Tables{
		Host:     "web1",
		Sets:     []*iptables.Set{{Name: "a", Family: ir.IPv4, Type: ir.HashNet, Managed: true, MaxElem: 64, Prefixes: ir.PrefixesOf(netip.MustParsePrefix("10.0.0.0/8"))}},
		Programs: []*iptables.Program{program(), v6},
	}
	src := Source{Version: "1.2.3", Policy: []string{"a.hcl"}, Inputs: []folder.Input{{Name: "a.hcl", SHA256: "00"}}}
	files, err := Files(rs, src)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		if f.Name == folder.ManifestFile {
			continue
		}
		header, _, _ := strings.Cut(string(f.Content), "\n")
		if !strings.HasPrefix(header, "# Compiled by dockerfw from a.hcl for host web1; do not edit. Loading it") {
			t.Errorf("%s starts with %q", f.Name, header)
		}
	}
	want := []string{folder.SetsFile, folder.RulesFile4, folder.RulesRemoval4, folder.RulesFile6, folder.RulesRemoval6, folder.SetsRemoval, folder.ManifestFile}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	manifest, err := folder.ParseManifest(files[len(files)-1].Content)
	if err != nil {
		t.Fatal(err)
	}
	wantManifest := &folder.Manifest{
		Format: 2, Version: "1.2.3", Host: "web1",
		Inputs: src.Inputs,
		Chains: []folder.ChainReport{
			{Name: "DOCKER-USER", Family: "ipv4", Install: "replace", Rules: 3},
			{Name: "DOCKERFW-OUT", Family: "ipv4", Install: "replace", Rules: 2},
			{Name: "DOCKER-USER", Family: "ipv6", Install: "replace", Rules: 3},
			{Name: "DOCKERFW-OUT", Family: "ipv6", Install: "replace", Rules: 2},
			{Name: "DOCKERFW", Family: "ipv6", Table: "security", Install: "replace", Rules: 1},
		},
		Sets: []folder.SetReport{{Name: "a", Family: "ipv4", Type: "hash:net", Managed: true, Elements: 1}},
	}
	for _, f := range files[:len(files)-1] {
		wantManifest.Files = append(wantManifest.Files, folder.Input{Name: f.Name, SHA256: folder.Digest(f.Content)})
	}
	if diff := cmp.Diff(wantManifest, manifest); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	again, err := Files(rs, src)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(files, again, sameFiles); diff != "" {
		t.Errorf("the second call returned other files (-first +second):\n%s", diff)
	}
}

var sameFiles = cmpopts.IgnoreUnexported(folder.File{})

func TestFilesLikeThoseOfAnotherHostAreItsOwn(t *testing.T) {
	of := func(host string) *iptables.Tables {
		return &iptables.Tables{
			Host:     host,
			Sets:     []*iptables.Set{{Name: "web1", Family: ir.IPv4, Type: ir.HashNet, Managed: true, MaxElem: 64, Prefixes: ir.PrefixesOf(netip.MustParsePrefix("10.0.0.0/8"))}},
			Programs: []*iptables.Program{program()},
		}
	}
	nftOf := func(host string) *nftables.Tables { return &nftables.Tables{Host: host} }
	src := Source{Policy: []string{"a for host web1; b.hcl"}}
	for _, labels := range [][2]string{{"web1", "web22"}, {"web22", "web1"}, {"web1", "web1"}} {
		check := func(first []folder.File, err error, like func([]folder.File, string) ([]folder.File, error), want []folder.File) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			got, err := like(first, labels[0])
			if diff := cmp.Diff(want, got, sameFiles); diff != "" || err != nil {
				t.Errorf("%v: %v (-want +got):\n%s", labels, err, diff)
			}
			if _, err := like(first, "web3"); err == nil {
				t.Errorf("%v: files of another host than said are accepted", labels)
			}
		}
		first, err := Files(of(labels[0]), src)
		want, _ := Files(of(labels[1]), src)
		check(first, err, func(files []folder.File, label string) ([]folder.File, error) {
			return FilesLike(files, label, of(labels[1]), src)
		}, want)
		first, err = NFTFiles(nftOf(labels[0]), src)
		want, _ = NFTFiles(nftOf(labels[1]), src)
		check(first, err, func(files []folder.File, label string) ([]folder.File, error) {
			return NFTFilesLike(files, label, nftOf(labels[1]), src)
		}, want)
	}
}

// The name of a policy file may contain any character, but must not add a line to a restore
// file.
func TestPolicyNamesAreEscapedInComments(t *testing.T) {
	rs := &iptables.Tables{Programs: []*iptables.Program{program()}}
	files, err := Files(rs, Source{Policy: []string{"a\n-F\r\x1b[31m.hcl"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name == folder.ManifestFile {
			continue
		}
		header, rest, _ := strings.Cut(string(f.Content), "\n")
		if !strings.HasSuffix(header, ".") || strings.ContainsAny(header, "\r\x1b") || strings.Contains(rest, "hcl") {
			t.Errorf("%s:\n%q\n%q", f.Name, header, rest)
		}
	}
}

func TestPolicyNameCountsFilesPastTheThird(t *testing.T) {
	if got, want := policyName([]string{"a", "b", "c"}), "a, b, c"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := policyName([]string{"a", "b", "c", "d"}), "a, b, c and 1 more file"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := policyName([]string{"a", "b", "c", "d", "e"}), "a, b, c and 2 more files"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// program returns a small IPv4 program.
func program() *iptables.Program {
	rule := func(p ir.Phase, name string, v iptables.Verdict) *iptables.Rule {
		return &iptables.Rule{ID: ir.RuleID{Phase: p, Name: name}, Verdict: v}
	}
	return &iptables.Program{
		Family: ir.IPv4, Target: "DOCKER-USER",
		Chains: []*iptables.Chain{
			{Name: "DOCKER-USER", Rules: []*iptables.Rule{
				rule(ir.PhaseEstablished, "", iptables.Return{}), rule(ir.PhaseAccept, "a", iptables.Accept{}), rule(ir.PhaseDefault, "", iptables.Drop{}),
			}},
			{Name: "DOCKERFW-OUT", Rules: []*iptables.Rule{rule(ir.PhaseDeny, "d", iptables.Drop{}), rule(ir.PhaseAccept, "b", iptables.Return{})}},
		},
	}
}
