package netfilter

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// nftTable returns a table with one base chain at a hook, and the expressions of its rules.
func nftTable(t *testing.T, hook string, priority int, policy string, rules ...string) *nft.Table {
	t.Helper()
	text := fmt.Sprintf(`{"nftables": [{"table": {"family": "inet", "name": "t"}},
		{"chain": {"family": "inet", "table": "t", "name": "base", "type": "filter", "hook": %q, "prio": %d, "policy": %q}},
		{"chain": {"family": "inet", "table": "t", "name": "other"}},
		{"rule": {"family": "inet", "table": "t", "chain": "other", "handle": 9, "expr": [{"drop": null}]}},
		{"set": {"family": "inet", "table": "t", "name": "allowed", "type": "ipv4_addr", "flags": ["interval"], "elem": [{"prefix": {"addr": "198.51.100.0", "len": 24}}, {"elem": {"val": "192.0.2.7", "counter": {"packets": 0, "bytes": 0}}}]}},
		{"set": {"family": "inet", "table": "t", "name": "dynamic", "type": "ipv4_addr", "flags": ["dynamic"]}}`, hook, priority, policy)
	for i, r := range rules {
		text += fmt.Sprintf(`, {"rule": {"family": "inet", "table": "t", "chain": "base", "handle": %d, "expr": [%s]}}`, 20+i, r)
	}
	read, err := nft.Parse([]byte(text + "]}"))
	if err != nil {
		t.Fatal(err)
	}
	return read.Tables[0]
}

func match(op, left, right string) string {
	return fmt.Sprintf(`{"match": {"op": %q, "left": %s, "right": %s}}`, op, left, right)
}

// The effect of nft rules on a packet from 192.0.2.1 to port 8080, translated to
// 172.17.0.2:80.
func TestRulesOfNFTHaveTheirEffect(t *testing.T) {
	const (
		saddr  = `{"payload": {"protocol": "ip", "field": "saddr"}}`
		dport  = `{"payload": {"protocol": "tcp", "field": "dport"}}`
		mark   = `{"meta": {"key": "mark"}}`
		in     = `{"meta": {"key": "iifname"}}`
		state  = `{"ct": {"key": "state"}}`
		drop   = `{"drop": null}`
		accept = `{"accept": null}`
	)
	const dropped, passes, depends = "drop", "accept", "depends"
	for _, c := range []struct {
		name, hook string
		priority   int
		policy     string
		rules      []string
		want       string
	}{
		{"policy", "forward", 0, "drop", nil, dropped},
		{"accept ends the chain", "forward", 0, "drop", []string{accept, drop}, passes},
		{"source", "forward", 0, "accept", []string{match("==", saddr, `"192.0.2.1"`) + "," + drop}, dropped},
		{"prefix", "forward", 0, "accept", []string{match("==", saddr, `{"prefix": {"addr": "192.0.2.0", "len": 24}}`) + "," + drop}, dropped},
		{"range", "forward", 0, "accept", []string{match("==", saddr, `{"range": ["192.0.2.2", "192.0.2.9"]}`) + "," + drop}, passes},
		{"named set", "forward", 0, "accept", []string{match("!=", saddr, `"@allowed"`) + "," + drop}, dropped},
		{"set that packets change", "forward", 0, "accept", []string{match("==", saddr, `"@dynamic"`) + "," + drop}, depends},
		{"IPv6 is another family", "forward", 0, "accept", []string{match("!=", `{"payload": {"protocol": "ip6", "field": "saddr"}}`, `"::1"`) + "," + drop}, passes},
		{"port behind DNAT", "forward", 0, "accept", []string{match("==", dport, `{"set": [80, 443]}`) + "," + drop}, dropped},
		{"port before DNAT", "prerouting", -150, "accept", []string{match("==", dport, "8080") + "," + drop}, dropped},
		{"port after DNAT, before routing", "prerouting", 0, "accept", []string{match("==", dport, "80") + "," + drop}, dropped},
		{"no state in raw", "prerouting", -300, "accept", []string{match("in", state, `"new"`) + "," + drop}, passes},
		{"states", "forward", 0, "accept", []string{match("in", state, `["established", "new"]`) + "," + drop}, dropped},
		{"interface", "forward", 0, "accept", []string{match("==", in, `"eth*"`) + "," + drop}, dropped},
		{"one of two interfaces", "forward", 0, "accept", []string{match("==", in, `{"set": ["eth1", "wg0"]}`) + "," + drop}, passes},
		{"DNAT", "forward", 0, "accept", []string{match("in", `{"ct": {"key": "status"}}`, `"dnat"`) + "," + match("==", `{"ct": {"key": "proto-dst", "dir": "original"}}`, "8080") + "," + drop}, dropped},
		{"verdict map", "forward", 0, "accept", []string{`{"vmap": {"key": ` + in + `, "data": {"set": [["eth0", {"jump": {"target": "other"}}], ["eth1", {"accept": null}]]}}}`}, dropped},
		{"verdict map without the key", "forward", 0, "accept", []string{`{"vmap": {"key": ` + in + `, "data": {"set": [["eth1", {"drop": null}]]}}}`}, passes},
		{"rest of a verdict map", "forward", 0, "accept", []string{`{"vmap": {"key": ` + in + `, "data": {"set": [["eth1", {"accept": null}], ["*", {"drop": null}]]}}}`}, dropped},
		{"concatenation", "forward", 0, "accept", []string{match("==", `{"concat": [`+saddr+`, `+dport+`]}`, `{"set": [{"concat": ["192.0.2.1", 80]}]}`) + "," + drop}, dropped},
		{"mark", "forward", 0, "accept", []string{`{"mangle": {"key": ` + mark + `, "value": {"|": [` + mark + `, 4]}}}`, match("==", `{"&": [`+mark+`, 4]}`, "4") + "," + drop}, dropped},
		{"mark that no rule sets", "forward", 0, "accept", []string{match("==", mark, "4") + "," + drop}, passes},
		{"mark set by a rule that accepts", "forward", 0, "accept", []string{`{"mangle": {"key": ` + mark + `, "value": 4}},` + accept}, passes},
		{"limit", "forward", 0, "accept", []string{`{"limit": {"rate": 1, "per": "second"}},` + accept, drop}, depends},
		{"what is not known", "forward", 0, "accept", []string{match("<", `{"payload": {"protocol": "ip", "field": "ttl"}}`, "5") + "," + drop}, depends},
		{"a statement that is not known", "forward", 0, "accept", []string{`{"new thing": null}`}, depends},
		{"counter and log", "forward", 0, "accept", []string{`{"counter": null}, {"log": null}`}, passes},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := nftTable(t, c.hook, c.priority, c.policy, c.rules...)
			hooks := []packet.Hook{{
				Table: NFTTableName(table), Chain: "base", Program: NFTProgram(table, table.Chain("base"), ir.IPv4),
				Base: &packet.Base{Hook: c.hook, Priority: c.priority},
			}}
			p := packet.Packet{
				Source: netip.MustParseAddr("192.0.2.1"), SourcePort: 40000, Protocol: 6, In: "eth0", Out: "docker0", State: ir.CTNew, DNAT: true,
				Destination: netip.MustParseAddr("172.17.0.2"), DestinationPort: 80, OriginalDestination: netip.MustParseAddr("203.0.113.1"), OriginalPort: 8080,
			}
			j := packet.Trace(hooks, p)
			got := j.Verdict.String()
			if j.Open != "" {
				got = depends
			}
			if got != c.want {
				t.Errorf("got %s (open %q), want %s", got, j.Open, c.want)
			}
			route, err := packet.Route(ir.IPv4, false, hooks)
			if err != nil {
				t.Fatal(err)
			}
			space, err := packet.New(route)
			if err != nil {
				t.Fatal(err)
			}
			if got == depends {
				return
			}
			p.Complete()
			if d := route.Decide(p); route.Rule(d.At) != nil && d.Verdict.String() != got || len(space.Programs()) != 1 {
				t.Errorf("Route: %s, Trace: %s", d.Verdict, got)
			}
		})
	}
}
