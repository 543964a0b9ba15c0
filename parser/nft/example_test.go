package nft_test

import (
	"fmt"

	"github.com/dockerfw/dockerfw/parser/nft"
)

func ExampleParse() {
	ruleset, err := nft.Parse([]byte(`{"nftables": [
		{"table": {"family": "ip", "name": "t"}},
		{"chain": {"family": "ip", "table": "t", "name": "c", "type": "filter", "hook": "forward", "prio": -10, "policy": "accept"}},
		{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [
			{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth0"}},
			{"drop": null}]}}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	chain := ruleset.Table("ip", "t").Chain("c")
	fmt.Println(chain.Hook, chain.Priority, chain.Rules[0].Text())
	// Output: forward -10 iifname eth0 drop
}
