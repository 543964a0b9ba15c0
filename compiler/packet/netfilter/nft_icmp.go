package netfilter

import (
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// icmpTypeField reads types of ICMP or ICMPv6. The names that nft prints for ends of a range are
// numbers in its text and names in its JSON.
func icmpTypeField(guard []packet.Cond, names map[string]uint8) nftField {
	return icmpField(guard, names, func(first, last uint8) packet.Cond {
		return packet.ICMPType{FirstType: first, LastType: last, FirstCode: 0, LastCode: 255}
	})
}

func icmpCodeField(guard []packet.Cond, names map[string]uint8) nftField {
	return icmpField(guard, names, func(first, last uint8) packet.Cond {
		return packet.ICMPType{FirstType: 0, LastType: 255, FirstCode: first, LastCode: last}
	})
}

func icmpField(guard []packet.Cond, names map[string]uint8, cond func(first, last uint8) packet.Cond) nftField {
	number := func(v any) (uint8, bool) {
		if name, isName := v.(string); isName {
			n, ok := names[name]
			return n, ok
		}
		n, ok := nftNumber(v, 8)
		return uint8(n), ok
	}
	return nftField{guard: guard, read: func(v any) (packet.Cond, bool) {
		from, to := bounds(v)
		first, ok1 := number(from)
		last, ok2 := number(to)
		return cond(first, last), ok1 && ok2 && first <= last
	}}
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

	// The names for codes (icmp_code_tbl and icmpv6_code_tbl) are those of the type
	// destination-unreachable, whatever the type is. nft 1.0.6 prints them, 1.1 only in reject.
	icmpCodes = map[string]uint8{
		"net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4,
		"net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
	}
	icmpv6Codes = map[string]uint8{
		"no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5, "reject-route": 6,
	}
)

// The answers of reject, as iptables names them. icmpx has names of its own
// (nf_reject.h: NFT_REJECT_ICMPX_*).
var (
	icmpRejects = map[string]string{
		"net-unreachable": "icmp-net-unreachable", "host-unreachable": "icmp-host-unreachable", "prot-unreachable": "icmp-proto-unreachable",
		"port-unreachable": "icmp-port-unreachable", "net-prohibited": "icmp-net-prohibited", "host-prohibited": "icmp-host-prohibited",
		"admin-prohibited": "icmp-admin-prohibited",
	}
	icmpv6Rejects = map[string]string{
		"no-route": "icmp6-no-route", "admin-prohibited": "icmp6-adm-prohibited", "addr-unreachable": "icmp6-addr-unreachable",
		"port-unreachable": "icmp6-port-unreachable", "policy-fail": "icmp6-policy-fail", "reject-route": "icmp6-reject-route",
	}
	icmpxRejects = map[ir.Family]map[string]string{
		ir.IPv4: {
			"port-unreachable": "icmp-port-unreachable", "admin-prohibited": "icmp-admin-prohibited",
			"no-route": "icmp-net-unreachable", "host-unreachable": "icmp-host-unreachable",
		},
		ir.IPv6: {
			"port-unreachable": "icmp6-port-unreachable", "admin-prohibited": "icmp6-adm-prohibited",
			"no-route": "icmp6-no-route", "host-unreachable": "icmp6-addr-unreachable",
		},
	}
)

// reject reads a reject: its answer as iptables names it, and the conditions that it implies. nft
// adds them to the rule and prints them only in part: only TCP packets get a reset, and only
// packets of a family its ICMP.
func (n *nftReader) reject(body any) (packet.Verdict, []packet.Cond) {
	b, _ := body.(map[string]any)
	typ, _ := b["type"].(string)
	code, _ := b["expr"].(string)
	if code == "" {
		code = "port-unreachable"
	}
	v := packet.Verdict{Kind: packet.Reject}
	var guard []packet.Cond
	switch typ {
	case "tcp reset":
		v.With = "tcp-reset"
		return v, []packet.Cond{packet.Proto{Numbers: []uint8{packet.ProtoTCP}}}
	case "icmp":
		v.With, guard = icmpRejects[code], []packet.Cond{n.only(ir.IPv4)}
	case "icmpv6":
		v.With, guard = icmpv6Rejects[code], []packet.Cond{n.only(ir.IPv6)}
	default:
		v.With = icmpxRejects[n.family][code]
	}
	if v.With == "" {
		v.With = nft.Expr{Kind: "reject", Body: body}.Text()
	}
	return v, guard
}
