package identity

import (
	"slices"
	"strings"
	"testing"

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

// Sets of the table of nft have names of the policy, with a digest and for a digit with an underscore.
func TestSetsOfTheTableAreCalledAsInThePolicy(t *testing.T) {
	for _, c := range []struct {
		name, want string
		content    bool
	}{
		{"clients.3f9a61c2", "clients", true},
		{"clients-v6.81d20b7e", "clients-v6", true},
		{"_10.3f9a61c2", "10", true},
		{"a.b.3f9a61c2", "a.b", true},
		{"bans", "bans", false},
		{"_bans", "_bans", false},
		{"_1bans", "1bans", false},
		{"bans.v2", "bans.v2", false},
		{"clients.3F9A61C2", "clients.3F9A61C2", false},
		{".3f9a61c2", ".3f9a61c2", false},
	} {
		if got := SetOfTable(c.name); got != c.want || NamedByContent(c.name) != c.content {
			t.Errorf("%s: %s, by content %t; want %s, %t", c.name, got, NamedByContent(c.name), c.want, c.content)
		}
	}
}
