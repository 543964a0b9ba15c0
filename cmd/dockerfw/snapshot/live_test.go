package snapshot

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// changing are the tools of a host with iptables-nft. nft lists the rules of a chain that
// iptables-save does not print yet.
type changing struct {
	reads int
	// unprinted is the handle of that rule at a read, counted from 1; 0 for none.
	unprinted func(read int) int
}

func (c *changing) Output(tool string, args ...string) ([]byte, error) {
	switch command := strings.Join(append([]string{tool}, args...), " "); command {
	case "iptables --version":
		return []byte("iptables v1.8.9 (nf_tables)"), nil
	case "iptables-save", "iptables-nft-save -t filter", "iptables-nft-save":
		return []byte("*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -j ACCEPT\nCOMMIT\n"), nil
	case "nft -j list ruleset":
		c.reads++
		const rule = `, {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": %d, "expr": [{"counter": {"packets": 0, "bytes": 0}}, {"accept": null}]}}`
		rules := fmt.Sprintf(rule, 1)
		if handle := c.unprinted(c.reads); handle != 0 {
			rules += fmt.Sprintf(rule, handle)
		}
		return []byte(`{"nftables": [{"table": {"family": "ip", "name": "filter"}}, {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}}` + rules + `]}`), nil
	}
	return nil, nil
}

func (*changing) LegacyTables(ir.Family) []string { return nil }

func (*changing) HasDefaultBridge() bool { return false }

func (*changing) Network() (*network.State, error) { return &network.State{}, nil }

func TestAHostThatChangesWhileItIsReadIsReadAgain(t *testing.T) {
	for _, c := range []struct {
		name      string
		unprinted func(read int) int
		reads     int
		fails     bool
	}{
		{"unchanged", func(int) int { return 0 }, 1, false},
		{"two changes", func(read int) int { return []int{7, 9, 0}[read-1] }, 3, false},
		{"a rule of nft", func(int) int { return 7 }, 2, true},
	} {
		tools := &changing{unprinted: c.unprinted}
		_, diags, err := ReadLive(func() Tools { return tools }, LiveOptions{})
		if diags.HasErrors() || (err != nil) != c.fails || tools.reads != c.reads {
			t.Errorf("%s: %d reads, %v %v; want %d reads and an error: %v", c.name, tools.reads, diags, err, c.reads, c.fails)
		}
	}
}
