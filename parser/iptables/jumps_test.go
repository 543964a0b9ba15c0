package iptables_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser/iptables"
)

func TestNestedJumpsAreLimited(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		chains int
		want   bool
	}{{iptables.MaxJumps, true}, {iptables.MaxJumps + 1, false}, {20 * iptables.MaxJumps, false}} {
		for _, backwards := range []bool{false, true} {
			var b strings.Builder
			b.WriteString("*filter\n:FORWARD ACCEPT [0:0]\n")
			for i := range test.chains {
				fmt.Fprintf(&b, ":C%d - [0:0]\n", i)
			}
			if backwards { // each visited chain is reached again, from one level further up
				for i := range test.chains {
					fmt.Fprintf(&b, "-A FORWARD -j C%d\n", test.chains-1-i)
				}
			} else {
				b.WriteString("-A FORWARD -j C0\n")
			}
			for i := range test.chains - 1 {
				fmt.Fprintf(&b, "-A C%d -j C%d\n", i, i+1)
			}
			b.WriteString("COMMIT\n")
			got := load(t, iptables.NewRuleset(iptables.IPv4), b.String())
			if refused := strings.Contains(got, "Too many jumps"); refused == test.want || test.want && got != "" {
				t.Errorf("%d chains, backwards %t: %s", test.chains, backwards, got)
			}
		}
	}
}
