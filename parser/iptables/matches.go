package iptables

import "strings"

func lower(_ Family, s string) string { return strings.ToLower(s) }
func upper(_ Family, s string) string { return strings.ToUpper(s) }

// matchModules are the matches whose options this package knows, after
// iptables-extensions(8). Options of any other match are opaque.
var matchModules = map[string]*module{
	"tcp": {options: list(
		takes(1, "--sport", "--source-port").as(portRange),
		takes(1, "--dport", "--destination-port").as(portRange),
		takes(1, "--tcp-option"),
		takes(2, "--tcp-flags").as(oneOf("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ALL", "NONE")),
		flags("--syn"),
	), tidy: tidyTCP},
	"udp": {options: list(
		takes(1, "--sport", "--source-port").as(portRange),
		takes(1, "--dport", "--destination-port").as(portRange),
	), tidy: dropFullPorts},
	"sctp": {options: list(
		takes(1, "--sport", "--source-port").as(portRange),
		takes(1, "--dport", "--destination-port").as(portRange),
		takes(2, "--chunk-types"),
	)},
	"dccp": {options: list(
		takes(1, "--sport", "--source-port").as(portRange),
		takes(1, "--dport", "--destination-port").as(portRange),
		ones("--dccp-types", "--dccp-option"),
	)},
	"icmp":  {options: list(takes(1, "--icmp-type").as(icmpType))},
	"icmp6": {options: list(takes(1, "--icmpv6-type", "--icmp6-type").as(icmp6Type))},
	"esp":   {options: list(takes(1, "--espspi").as(sameRange))},
	"ah": {options: list(
		takes(1, "--ahspi").as(sameRange), takes(1, "--ahlen"), flags("--ahres"),
	)},
	"multiport": {options: list(
		takes(1, "--sports", "--source-ports"),
		takes(1, "--dports", "--destination-ports"),
		takes(1, "--ports"),
	)},
	"conntrack": {options: list(
		takes(1, "--ctstate").as(oneOf("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")),
		takes(1, "--ctproto").as(func(_ Family, s string) string { return protocolDigits(s) }),
		takes(1, "--ctorigsrc").as(hostAddress),
		takes(1, "--ctorigdst").as(hostAddress),
		takes(1, "--ctreplsrc").as(hostAddress),
		takes(1, "--ctrepldst").as(hostAddress),
		takes(1, "--ctorigsrcport").as(sameRange),
		takes(1, "--ctorigdstport").as(sameRange),
		takes(1, "--ctreplsrcport").as(sameRange),
		takes(1, "--ctrepldstport").as(sameRange),
		takes(1, "--ctstatus").as(oneOf("NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED")),
		takes(1, "--ctexpire").as(sameRange),
		takes(1, "--ctdir").as(upper),
	)},
	"state": {options: list(
		takes(1, "--state").as(oneOf("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED")),
	)},
	"set": {options: list(
		takes(2, "--match-set", "--set"),
		flags("--return-nomatch", "--update-counters", "--update-subcounters"),
		ones("--packets-eq", "--packets-lt", "--packets-gt", "--bytes-eq", "--bytes-lt", "--bytes-gt"),
	)},
	"comment": {options: list(takes(1, "--comment").quoted(text))},
	"limit": {options: list(
		takes(1, "--limit").as(rate(10_000)), takes(1, "--limit-burst"),
	), tidy: tidyLimit},
	"hashlimit": {options: list(
		takes(1, "--hashlimit-upto", "--hashlimit").as(rate(1_000_000)),
		takes(1, "--hashlimit-above").as(rate(1_000_000)),
		takes(1, "--hashlimit-burst"),
		takes(1, "--hashlimit-mode").as(hashlimitMode),
		ones("--hashlimit-name", "--hashlimit-htable-size", "--hashlimit-htable-max",
			"--hashlimit-htable-gcinterval", "--hashlimit-htable-expire", "--hashlimit-srcmask", "--hashlimit-dstmask"),
		flags("--hashlimit-rate-match"),
		takes(1, "--hashlimit-rate-interval"),
	), tidy: tidyHashlimit},
	"connlimit": {options: list(
		ones("--connlimit-upto", "--connlimit-above", "--connlimit-mask"),
		flags("--connlimit-saddr", "--connlimit-daddr"),
	), tidy: tidyConnlimit},
	"mark":     {options: list(takes(1, "--mark").as(mark))},
	"connmark": {options: list(takes(1, "--mark").as(mark))},
	"addrtype": {options: list(
		takes(1, "--src-type").as(addressTypes), takes(1, "--dst-type").as(addressTypes),
		flags("--limit-iface-in", "--limit-iface-out"),
	)},
	"iprange": {options: list(
		takes(1, "--src-range").as(addressRange), takes(1, "--dst-range").as(addressRange),
	)},
	"physdev": {options: list(
		flags("--physdev-is-in"), takes(1, "--physdev-in"),
		flags("--physdev-is-out"), takes(1, "--physdev-out"), flags("--physdev-is-bridged"),
	)},
	"mac": {options: list(takes(1, "--mac-source").as(lower))},
	"time": {options: list(
		takes(1, "--timestart").as(clock), takes(1, "--timestop").as(clock), takes(1, "--monthdays"),
		takes(1, "--weekdays").as(weekdays), ones("--datestart", "--datestop"), flags("--kerneltz", "--contiguous"),
	), tidy: tidyTime},
	"owner": {options: list(
		ones("--uid-owner", "--gid-owner"), flags("--socket-exists", "--suppl-groups"),
		ones("--pid-owner", "--sid-owner", "--cmd-owner"),
	)},
	"recent": {options: list(
		flags("--set", "--rcheck", "--update", "--remove"), takes(1, "--seconds"), flags("--reap"),
		takes(1, "--hitcount"), flags("--rttl"), ones("--name", "--mask"), flags("--rsource", "--rdest"),
	), tidy: tidyRecent},
	"length": {options: list(takes(1, "--length").as(lengths))},
	"ttl": {options: list(
		takes(1, "--ttl-eq", "--ttl"), ones("--ttl-lt", "--ttl-gt"),
	)},
	"hl": {options: list(
		takes(1, "--hl-eq", "--hl"), ones("--hl-lt", "--hl-gt"),
	)},
	"pkttype": {options: list(takes(1, "--pkt-type").as(lower))},
	"string": {options: list(
		takes(1, "--string").quoted(always), takes(1, "--hex-string").quoted(always),
		ones("--algo", "--from", "--to"), flags("--icase"),
	)},
	"helper": {options: list(takes(1, "--helper").quoted(text))},
	"statistic": {options: list(
		ones("--mode", "--probability", "--every", "--packet"),
	)},
	"quota":    {options: ones("--quota")},
	"u32":      {options: list(takes(1, "--u32").quoted(always))},
	"tos":      {options: ones("--tos")},
	"dscp":     {options: ones("--dscp", "--dscp-class")},
	"ecn":      {options: list(flags("--ecn-tcp-cwr", "--ecn-tcp-ece"), takes(1, "--ecn-ip-ect"))},
	"tcpmss":   {options: list(takes(1, "--mss").as(sameRange))},
	"rpfilter": {options: flags("--loose", "--validmark", "--accept-local", "--invert")},
	"socket":   {options: flags("--transparent", "--nowildcard", "--restore-skmark")},
	"realm":    {options: ones("--realm")},
	"connbytes": {options: ones(
		"--connbytes", "--connbytes-mode", "--connbytes-dir",
	)},
	"cpu":       {options: ones("--cpu")},
	"devgroup":  {options: ones("--src-group", "--dst-group")},
	"connlabel": {options: list(takes(1, "--label").quoted(text), flags("--set"))},
	"nfacct":    {options: list(takes(1, "--nfacct-name").quoted(text))},
	"cgroup":    {options: list(takes(1, "--path").quoted(text), takes(1, "--cgroup"))},
	"bpf":       {options: list(takes(1, "--bytecode").quoted(always), takes(1, "--object-pinned"))},
	"frag": {options: list(
		ones("--fragid", "--fraglen"), flags("--fragres", "--fragfirst", "--fragmore", "--fraglast"),
	)},
	"rt": {options: list(
		ones("--rt-type", "--rt-segsleft", "--rt-len"), flags("--rt-0-res"),
		takes(1, "--rt-0-addrs"), flags("--rt-0-not-strict"),
	)},
	"hbh":        {options: ones("--hbh-len", "--hbh-opts")},
	"dst":        {options: ones("--dst-len", "--dst-opts")},
	"mh":         {options: ones("--mh-type")},
	"ipv6header": {options: list(takes(1, "--header"), flags("--soft"))},
	"eui64":      {},
	"udplite":    {},
	"unclean":    {},
}
