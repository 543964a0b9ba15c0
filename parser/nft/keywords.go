package nft

import (
	"slices"
	"strings"
)

// keywords are the words that nft 1.0.6, 1.1.3 or 1.1.7 reads as part of its syntax where a set is
// named, sorted. It has no quotes for names.
var keywords = strings.Fields(`
	accept add ah all arp auto-merge bridge cgroup chain comment comp constant continue counter cpu
	create ct day dccp define delete describe destroy device devices dnat drop dst dup dynamic ecn
	element elements esp ether exists expires export exthdr fib flags flow flowtable flush frag fwd gc-
	interval ge geneve get goto gre gretap gt handle hbh hook hour ibriport ibrname icmp icmpv6 igmp iif
	iifgroup iifname iiftype import include index inet insert interval ip ip6 ipsec jhash jump le limit
	list log lt map mark masquerade meta meter mh missing monitor netdev nftrace notrack numgen obriport
	obrname offload oif oifgroup oifname oiftype or osf pkttype policy position priority queue quota
	random redefine redirect reject rename replace reset return rt rt0 rt2 rtclassid rule ruleset sctp
	secmark set size skgid skuid snat socket srh symhash synproxy table tcp th time timeout tproxy
	tunnel type typeof udp udplite undefine update vlan vmap vni vxlan xt
`)

// IsKeyword reports whether a word is one of nft's own, so that no set can have it as its name.
func IsKeyword(word string) bool {
	_, found := slices.BinarySearch(keywords, word)
	return found
}
