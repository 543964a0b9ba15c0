package snapshot

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// The kernel prints the entries of a set in another order after each load.
func TestMergedRulesAreInTheOrderOfTheirAddresses(t *testing.T) {
	rules := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n" +
		"-A DOCKER-USER -m set --match-set any-any.accept src -m comment --comment \"dockerfw accept any/any\" -j ACCEPT\nCOMMIT\n"
	entries := []string{"10.0.0.2 comment \"b\"", "10.0.0.1 comment \"a\"", "10.0.0.3 comment \"c\"", "10.0.0.0/24 comment \"net\""}
	for i := range 2 {
		if i == 1 {
			slices.Reverse(entries)
		}
		sets := "create any-any.accept hash:net family inet hashsize 64 maxelem 1048576 comment\n"
		for _, e := range entries {
			sets += "add any-any.accept " + e + "\n"
		}
		dir := filepath.Join(t.TempDir(), "host")
		write(t, filepath.Join(dir, "rules"), rules)
		write(t, filepath.Join(dir, "sets"), sets)
		h := open(t, dir)
		space, err := packet.New(h.Program(ir.IPv4, "DOCKER-USER"))
		if err != nil {
			t.Fatal(err)
		}
		rule := h.Filter(ir.IPv4).Chain("DOCKER-USER").Rules[0]
		var got []string
		for _, id := range h.MergedInto(ir.IPv4, &Rule{IPTables: rule}, space.All()) {
			got = append(got, id.Name)
		}
		if want := []string{"a", "b", "c", "net"}; !slices.Equal(got, want) {
			t.Errorf("order %d: %v, want %v", i, got, want)
		}
	}
}
