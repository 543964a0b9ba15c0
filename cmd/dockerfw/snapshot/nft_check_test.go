package snapshot

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// Rules as iptables-nft 1.8.9 prints them and as nft 1.0.6 lists them: rules of iptables, and
// rules that nft added to its tables.
func TestATableThatNFTChangedIsAnError(t *testing.T) {
	const (
		in      = `{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}, `
		counter = `{"counter": {"packets": 0, "bytes": 0}}, `
		saddr   = `{"payload": {"protocol": "ip", "field": "saddr"}}`
		dport   = `{"payload": {"protocol": "tcp", "field": "dport"}}`
	)
	for _, c := range []struct{ printed, listed, refused string }{
		{"-s 10.0.0.0/8 ! -o br-+ -j ACCEPT", `{"match": {"op": "!=", "left": {"meta": {"key": "oifname"}}, "right": "br-*"}}, {"match": {"op": "==", "left": ` + saddr + `, "right": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}, ` + counter + `{"accept": null}`, ""},
		{"-p tcp -m tcp ! --sport 5:7 --dport 80:90 -j RETURN", `{"match": {"op": "!=", "left": {"payload": {"protocol": "tcp", "field": "sport"}}, "right": {"range": [5, 7]}}}, {"match": {"op": "==", "left": ` + dport + `, "right": {"range": [80, 90]}}}, ` + counter + `{"return": null}`, ""},
		{"-m set ! --match-set clients src -j DROP", `{"xt": {"type": "match", "name": "set"}}, ` + counter + `{"drop": null}`, ""},
		{"-m limit --limit 5/min --limit-burst 3 -j LOG", `{"limit": {"rate": 5, "burst": 3, "per": "minute"}}, ` + counter + `{"xt": {"type": "target", "name": "LOG"}}`, ""},
		{"-m mark ! --mark 0x40000/0xff0000 -j ACCEPT", `{"match": {"op": "!=", "left": {"&": [{"meta": {"key": "mark"}}, 16711680]}, "right": 262144}}, ` + counter + `{"accept": null}`, ""},
		{"-p tcp -m tcp --tcp-flags SYN,ACK SYN -j DROP", `{"match": {"op": "==", "left": {"&": [{"payload": {"protocol": "tcp", "field": "flags"}}, ["syn", "ack"]]}, "right": "syn"}}, {"drop": null}`, ""},
		{"-f -j DROP", `{"match": {"op": "!=", "left": {"&": [{"payload": {"protocol": "ip", "field": "frag-off"}}, 8191]}, "right": 0}}, ` + counter + `{"drop": null}`, ""},
		{"-g U", counter + `{"goto": {"target": "U"}}`, ""},

		{"-i eth0 -j ACCEPT", in + `{"match": {"op": "==", "left": ` + saddr + `, "right": "@clients"}}, {"accept": null}`, "ip saddr @clients"},
		{"-s 192.0.2.9/32 -i eth0 -j ACCEPT", in + `{"match": {"op": "==", "left": ` + saddr + `, "right": {"range": ["192.0.2.1", "192.0.2.9"]}}}, {"accept": null}`, "192.0.2.1-192.0.2.9"},
		{"-i eth0 -p tcp -j ACCEPT", in + `{"match": {"op": "==", "left": ` + dport + `, "right": {"set": [80, 443]}}}, {"accept": null}`, "tcp dport { 80, 443 }"},
		{"-j DROP", `{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": {"set": ["eth0", "eth1"]}}}, {"drop": null}`, "iifname { eth0, eth1 }"},
		{"-i eth0", in + `{"vmap": {"key": ` + saddr + `, "data": {"set": [["192.0.2.1", {"drop": null}]]}}}`, "vmap"},
		{"-i eth0 -j DROP", in + `{"match": {"op": "==", "left": ` + saddr + `, "right": "192.0.2.1"}}, {"drop": null}`, "ip saddr 192.0.2.1"},
		{"-i eth0 -j DROP", `{"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}, {"drop": null}`, "iifname != eth0"},
		{"-i eth1 -j DROP", in + `{"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "eth1"}}, {"drop": null}`, "iifname"},
		{"-j ACCEPT", `{"drop": null}`, "its verdict differs"},
	} {
		file, diags := iptables.ParseRules(strings.NewReader("*filter\n:FORWARD ACCEPT [0:0]\n:U - [0:0]\n:T - [0:0]\n-A T "+c.printed+"\nCOMMIT\n"), "save")
		rules := iptables.NewRuleset(iptables.IPv4)
		if diags = append(diags, rules.Load(file)...); diags.HasErrors() {
			t.Fatal(diags)
		}
		read, err := nft.Parse([]byte(`{"nftables": [{"table": {"family": "ip", "name": "filter"}}, {"chain": {"family": "ip", "table": "filter", "name": "T"}}, {"rule": {"family": "ip", "table": "filter", "chain": "T", "handle": 7, "expr": [` + c.listed + `]}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		err = sameTable(read.Tables[0], rules.Table("filter"), "iptables-save")
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%s: %v", c.printed, err)
		case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "table ip filter, chain T") || !strings.Contains(err.Error(), "handle 7")):
			t.Errorf("%s: got %v, want an error with %s", c.printed, err, c.refused)
		}
	}
}
