package snapshot

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

func TestRulesOfDockerfwAreRecognizedByCommentsAndJumps(t *testing.T) {
	file, diags := iptables.ParseRules(strings.NewReader("*filter\n:F - [0:0]\n:DOCKERFW - [0:0]\n:DOCKERFW-INPUT - [0:0]\n:DOCKER-USER - [0:0]\n"+
		"-A F -m comment --comment \"dockerfw accept https\" -j ACCEPT\n"+
		"-A F -m comment --comment \"dockerfw default\" -j DROP\n"+
		"-A F -m comment --comment \"dockerfw\" -j RETURN\n"+
		"-A F -j DOCKERFW-INPUT\n"+
		"-A F -p tcp -j DOCKERFW\n"+
		"-A F -m comment --comment \"dockerfwd\" -j DROP\n"+
		"-A F -j DOCKER-USER\nCOMMIT\n"), "f")
	rules := iptables.NewRuleset(iptables.IPv4)
	if diags = append(diags, rules.Load(file)...); diags.HasErrors() {
		t.Fatal(diags)
	}
	var names []string
	ours := 0
	for i, r := range rules.Table("filter").Chain("F").Rules {
		if Ours(r) != (i < 4) {
			t.Errorf("%s: ours %t", r.Text, Ours(r))
		}
		if Ours(r) {
			ours++
		}
		if _, ok := IDOf(r); ok {
			names = append(names, BlockName(r))
		}
	}
	if want := []string{`accept "https"`, "default"}; !slices.Equal(names, want) || ours != 4 {
		t.Errorf("%d rules of dockerfw; blocks %q, want %q", ours, names, want)
	}
}

func TestInstallTargetAndChainsComeFromTheManifest(t *testing.T) {
	for _, c := range []struct {
		attributes    string
		install       ir.Install
		target, entry string
		own           []string
	}{
		{"", ir.InstallReplace, "DOCKER-USER", "DOCKER-USER", []string{"DOCKER-USER", "DOCKERFW-INPUT", "DOCKERFW-PROXY"}},
		{"install = \"jump\"\n", ir.InstallJump, "DOCKER-USER", "DOCKERFW", []string{"DOCKERFW", "DOCKERFW-INPUT", "DOCKERFW-PROXY"}},
		{"install = \"insert\"\n", ir.InstallInsert, "DOCKER-USER", "DOCKER-USER", []string{"DOCKERFW-INPUT", "DOCKERFW-PROXY"}},
		{"install = \"insert\"\nchain = \"DOCKER\"\n", ir.InstallInsert, "DOCKER", "DOCKER", []string{"DOCKERFW-INPUT", "DOCKERFW-PROXY"}},
	} {
		h := open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), policy(c.attributes)))
		if h.Install != c.install || h.Target != c.target || h.EntryChain() != c.entry || !slices.Equal(h.Own[ir.IPv4], c.own) {
			t.Errorf("%q: %s into %s, entry %s, own %v", c.attributes, h.Install, h.Target, h.EntryChain(), h.Own[ir.IPv4])
		}
	}
}

func TestAHostConvertsItsRulesOnce(t *testing.T) {
	dir := t.TempDir()
	compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), policy("")))
	host := open(t, write(t, filepath.Join(dir, "host.save"), head+"COMMIT\n"))
	loaded, err := compiled.LoadedOnto(host)
	if err != nil {
		t.Fatal(err)
	}
	first, again := loaded.Hooks(ir.IPv4, Forward), loaded.Hooks(ir.IPv4, Forward)
	if len(first) == 0 || first[0].Program != again[0].Program {
		t.Error("the hooks were computed twice")
	}
	again[0].Program = nil // the slice belongs to the caller
	if loaded.Hooks(ir.IPv4, Forward)[0].Program != first[0].Program {
		t.Error("a caller changed the hooks of the host")
	}
	p, q := loaded.Program(ir.IPv4, "DOCKER-USER"), loaded.Program(ir.IPv4, "DOCKER-USER")
	if p == q || p.Chains[0] != q.Chains[0] {
		t.Error("callers must get programs of their own that share their chains")
	}
	if other := loaded.WithMembersOf(host); other.Program(ir.IPv4, "DOCKER-USER").Chains[0] == p.Chains[0] {
		t.Error("a host with other sets has the programs of the first")
	}
}
