package netfilter

import "github.com/dockerfw/dockerfw/compiler/packet"

func icmpValue(names map[string]uint8) func(any) (packet.Cond, bool) {
	return func(v any) (packet.Cond, bool) {
		n, ok := nftNumber(v, 8)
		t := uint8(n)
		if name, isName := v.(string); isName {
			t, ok = names[name]
		}
		return packet.ICMPType{FirstType: t, LastType: t, FirstCode: 0, LastCode: 255}, ok
	}
}

// The names that nft prints for types (icmp_type_tbl and icmp6_type_tbl).
var (
	icmpTypes = map[string]uint8{
		"echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
		"router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
		"timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
		"address-mask-request": 17, "address-mask-reply": 18,
	}
	icmpv6Types = map[string]uint8{
		"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
		"echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131,
		"mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134,
		"nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138,
		"ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143,
	}
)
