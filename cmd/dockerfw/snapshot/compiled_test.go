package snapshot

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

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
