package iptables

import (
	"fmt"
	"strings"
	"testing"
)

func TestKnownLinesAreThoseMetLast(t *testing.T) {
	var known Known
	read := func(lines ...string) []*Command {
		t.Helper()
		file, diags := known.ParseRules(strings.NewReader("*filter\n"+strings.Join(lines, "\n")+"\nCOMMIT\n"), "x")
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		return file.Blocks[0].Commands
	}
	const often = "-A FORWARD -s 192.0.2.1/32 -j DROP"
	first := read("-A FORWARD -j ACCEPT", often)[1]
	for i := range 5 * maxYoung {
		commands := read(often, fmt.Sprintf("-A FORWARD -s 192.0.2.1/32 -p tcp -m tcp --dport %d -j ACCEPT", i))
		if &commands[0].Rule.Base[0] != &first.Rule.Base[0] {
			t.Fatalf("after %d other lines, a line that each file has is parsed again", i)
		}
		for k, c := range commands {
			if want := 2 + k; c.Range.Start.Line != want || c.Rule.Range.Start.Line != want {
				t.Fatalf("a command of line %d is at line %d, and its rule at line %d", want, c.Range.Start.Line, c.Rule.Range.Start.Line)
			}
		}
	}
	if n := len(known.young) + len(known.old); n > 2*maxYoung {
		t.Errorf("%d lines are kept, not %d at most", n, 2*maxYoung)
	}
	if first.Range.Start.Line != 3 || first.Rule.Range.Start.Line != 3 {
		t.Errorf("the first command with a line is now at line %d, and its rule at line %d", first.Range.Start.Line, first.Rule.Range.Start.Line)
	}
	if one, other := read("-A FORWARD -p tcp -j ACCEPT")[0], read("-A INPUT -p tcp -j ACCEPT")[0]; one.Rule.Chain == other.Rule.Chain {
		t.Error("two chains have the same rule")
	}
}
