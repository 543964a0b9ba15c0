package nft

import (
	"strings"
	"testing"
)

func TestTablesAreReadAndRulesArePrintedAsByNFT(t *testing.T) {
	const head = `{"nftables": [{"metainfo": {"version": "1.1.3"}}, {"table": {"family": "ip", "name": "t"}}, {"chain": {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "forward", "prio": -10, "policy": "drop"}}`
	for expr, want := range map[string]string{
		`{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}}, {"counter": {"packets": 1, "bytes": 2}}, {"drop": null}`:                         `iifname eth0 counter drop`,
		`{"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": {"set": ["192.0.2.1", {"prefix": {"addr": "10.0.0.0", "len": 8}}]}}}`: `ip saddr != { 192.0.2.1, 10.0.0.0/8 }`,
		`{"vmap": {"key": {"meta": {"key": "oifname"}}, "data": {"set": [["a", {"accept": null}], ["b", {"jump": {"target": "x"}}]]}}}`:                                   `oifname vmap { a : accept, b : jump x }`,
		`{"mystery": {"a": 1}}`: `{"mystery":{"a":1}}`,
	} {
		r, err := Parse([]byte(head + `, {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 4, "expr": [` + expr + `]}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		c := r.Table("ip", "t").Chain("c")
		if got := c.Rules[0].Text(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if c.Hook != "forward" || c.Priority != -10 || c.Policy != "drop" {
			t.Errorf("chain %+v", c)
		}
	}
	for _, bad := range []string{"", "{}", "[]", head, `{"nftables": [{"rule": {"family": "ip", "table": "t"}}]}`} {
		if _, err := Parse([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"nftables": [{"table": {"family": "ip", "name": "t"}}]}`))
	f.Add([]byte(strings.Repeat(`{"nftables": [`, 50)))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		for _, table := range r.Tables {
			for _, c := range table.Chains {
				for _, rule := range c.Rules {
					_ = rule.Text()
				}
			}
		}
	})
}

// The kernel ignores a dormant table. nft 1.0.6 prints some other text for the flag.
func TestDormantTablesAreMarked(t *testing.T) {
	for text, want := range map[string]bool{
		`{"nftables": [{"table": {"family": "inet", "name": "t", "flags": "inet"}}]}`:            true,
		`{"nftables": [{"table": {"family": "inet", "name": "t", "flags": "Lester Gooch #5"}}]}`: true,
		`{"nftables": [{"table": {"family": "inet", "name": "t", "flags": ["dormant"]}}]}`:       true,
		`{"nftables": [{"table": {"family": "inet", "name": "t", "flags": "owner"}}]}`:           false,
		`{"nftables": [{"table": {"family": "inet", "name": "t"}}]}`:                             false,
	} {
		rules, err := Parse([]byte(text))
		if err != nil || rules.Tables[0].Dormant != want {
			t.Errorf("%s: dormant %t, want %t (%v)", text, !want, want, err)
		}
	}
	for text, want := range map[string]bool{
		"table inet t {\n\tflags dormant\n\n\tchain a {\n\t}\n}\n": true,
		"table inet t {\n\tflags owner,persist\n}\n":               false,
		"table inet t {\n}\n":                                      false,
		"table inet t\ntable inet t {\n\tflags dormant\n}\n":       true,
		"table inet t {\n\tflags dormant\n}\ntable inet t\n":       false,
	} {
		rules, diags := ParseText([]byte(text), "file")
		if diags.HasErrors() || rules.Tables[0].Dormant != want {
			t.Errorf("%s: dormant %t, want %t (%v)", text, !want, want, diags)
		}
	}
}
