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
	first := read(often)[0]
	for i := range 5 * maxYoung {
		commands := read(often, fmt.Sprintf("-A FORWARD -s 192.0.2.1/32 -p tcp -m tcp --dport %d -j ACCEPT", i))
		if commands[0].Rule != first.Rule {
			t.Fatalf("after %d other lines, a line that each file has is parsed again", i)
		}
		if commands[0].Range.Start.Line != 2 || commands[1].Range.Start.Line != 3 {
			t.Fatalf("wrong lines of commands: %v", commands)
		}
	}
	if n := len(known.young) + len(known.old); n > 2*maxYoung {
		t.Errorf("%d lines are kept, not %d at most", n, 2*maxYoung)
	}
	if read("-A FORWARD -p tcp -j ACCEPT")[0].Rule == read("-A INPUT -p tcp -j ACCEPT")[0].Rule {
		t.Error("two chains have the same rule")
	}
}
