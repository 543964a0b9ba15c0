package iptables

// targetModules are the targets whose options this package knows, after
// iptables-extensions(8). Options of any other target are opaque. A -j without options to
// a name that is neither here nor a chain is an error: the chain is missing.
var targetModules = map[string]*module{
	"ACCEPT": {}, "DROP": {}, "RETURN": {}, "QUEUE": {},
	"LOG": {options: list(
		takes(1, "--log-prefix").quoted(text), takes(1, "--log-level").as(logLevel),
		flags("--log-tcp-sequence", "--log-tcp-options", "--log-ip-options", "--log-uid", "--log-macdecode"),
	), tidy: tidyLog},
	"NFLOG": {options: list(
		takes(1, "--nflog-prefix").quoted(text), ones("--nflog-group", "--nflog-range", "--nflog-size", "--nflog-threshold"),
	), tidy: tidyNflog},
	"ULOG": {options: list(
		takes(1, "--ulog-prefix").quoted(text), ones("--ulog-nlgroup", "--ulog-cprange", "--ulog-qthreshold"),
	)},
	"REJECT": {options: list(takes(1, "--reject-with").as(rejectWith)), tidy: tidyReject},
	"MARK": {options: ones(
		"--set-xmark", "--set-mark", "--and-mark", "--or-mark", "--xor-mark",
	), tidy: tidyMark},
	"CONNMARK": {options: list(
		ones("--set-xmark", "--set-mark", "--and-mark", "--or-mark", "--xor-mark", "--left-shift-mark", "--right-shift-mark"),
		flags("--save-mark", "--restore-mark"), ones("--nfmask", "--ctmask", "--mask"),
	), tidy: tidyMark},
	"DNAT":       {options: list(takes(1, "--to-destination"), flags("--random", "--persistent"))},
	"SNAT":       {options: list(takes(1, "--to-source"), flags("--random", "--random-fully", "--persistent"))},
	"MASQUERADE": {options: list(takes(1, "--to-ports"), flags("--random", "--random-fully"))},
	"REDIRECT":   {options: list(takes(1, "--to-ports"), flags("--random"))},
	"NETMAP":     {options: ones("--to")},
	"SAME":       {options: list(takes(1, "--to"), flags("--nodst", "--random"))},
	"TCPMSS":     {options: list(takes(1, "--set-mss"), flags("--clamp-mss-to-pmtu"))},
	"CT": {options: list(
		flags("--notrack"), takes(1, "--helper").quoted(text),
		ones("--ctevents", "--expevents", "--zone", "--zone-orig", "--zone-reply"), takes(1, "--timeout").quoted(text),
	)},
	"NOTRACK": {},
	"TRACE":   {},
	"SET": {options: list(
		takes(2, "--add-set"), takes(2, "--del-set"), takes(2, "--map-set"),
		flags("--exist"), takes(1, "--timeout"), flags("--map-mark", "--map-prio", "--map-queue"),
	)},
	"NFQUEUE": {options: list(
		ones("--queue-num", "--queue-balance"), flags("--queue-bypass", "--queue-cpu-fanout"),
	)},
	"TPROXY":      {options: ones("--on-port", "--on-ip", "--tproxy-mark")},
	"CLASSIFY":    {options: ones("--set-class")},
	"DSCP":        {options: ones("--set-dscp", "--set-dscp-class")},
	"TOS":         {options: ones("--set-tos", "--and-tos", "--or-tos", "--xor-tos")},
	"TTL":         {options: ones("--ttl-set", "--ttl-dec", "--ttl-inc")},
	"HL":          {options: ones("--hl-set", "--hl-dec", "--hl-inc")},
	"TEE":         {options: ones("--gateway", "--oif")},
	"AUDIT":       {options: ones("--type")},
	"CHECKSUM":    {options: flags("--checksum-fill")},
	"SECMARK":     {options: ones("--selctx")},
	"CONNSECMARK": {options: flags("--save", "--restore")},
	"ECN":         {options: flags("--ecn-tcp-remove")},
	"TCPOPTSTRIP": {options: ones("--strip-options")},
	"IDLETIMER":   {options: list(ones("--timeout", "--label"), flags("--alarm"))},
	"RATEEST":     {options: ones("--rateest-name", "--rateest-interval", "--rateest-ewmalog")},
	"SYNPROXY":    {options: list(flags("--sack-perm", "--timestamp"), ones("--wscale", "--mss"), flags("--ecn"))},
	"SNPT":        {options: ones("--src-pfx", "--dst-pfx")},
	"DNPT":        {options: ones("--src-pfx", "--dst-pfx")},

	// The options of these are opaque. They are listed so that a jump to them is not an
	// error.
	"CLUSTERIP": nil, "HMARK": nil, "LED": nil, "MIRROR": nil, "ROUTE": nil, "IMQ": nil,
	"ACCOUNT": nil, "CHAOS": nil, "DELUDE": nil, "DHCPMAC": nil, "DNETMAP": nil, "ECHO": nil,
	"IPMARK": nil, "LOGMARK": nil, "PROTO": nil, "RAWDNAT": nil, "RAWSNAT": nil, "STEAL": nil,
	"SYSRQ": nil, "TARPIT": nil, "FLOWOFFLOAD": nil, "FULLCONENAT": nil, "NDPI": nil,
}
