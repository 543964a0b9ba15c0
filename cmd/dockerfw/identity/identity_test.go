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
