package parser

import (
	"fmt"

	"github.com/dockerfw/dockerfw/parser/budget"
)

// policySchema is the table of all blocks and attributes. Decoding, suggestions, the tables
// of docs/language.md, docs/policy.schema.json and the test that every attribute is in an
// example come from it.
var policySchema = &Block{Blocks: []*Block{
	hostSchema, ipsetSchema, establishedSchema, denySchema, acceptSchema, defaultSchema,
	egressSchema, inputSchema, variableSchema, localsSchema, testSchema,
}}

var hostSchema = &Block{
	Type: "host", Label: OptionalLabel, Many: true,
	Meaning: "which interfaces are external, and how rules are installed",
	Attributes: []Attribute{
		{Name: "external_interfaces", Type: TypeStrings, Required: true, Example: `["eth0"]`, Meaning: "interfaces on which traffic from outside arrives"},
		{Name: "container_interfaces", Type: TypeStrings, DefaultText: "any", Example: `["eth0"]`, Meaning: "rules match only packets that leave on these interfaces"},
		{Name: "internal_interfaces", Type: TypeStrings, Default: []string{}, Example: `["wg0"]`, Meaning: "interfaces with an address or a default route, on which everyone may connect: rules do not match there, and `verify` does not expect them in `external_interfaces`"},
		{Name: "families", Type: TypeStrings, Default: []string{"ipv4", "ipv6"}, Values: []string{"ipv4", "ipv6"}, Example: `["ipv4", "ipv6"]`, Meaning: "the address families to compile"},
		{Name: "target", Type: TypeString, Default: string(TargetIPTables), Values: []string{string(TargetIPTables), string(TargetNFTables)}, Meaning: "what loads the rules: `\"iptables\"` with ipset, or `\"nftables\"`, without `chain`, `install` and `verdict`"},
		{Name: "chain", Type: TypeString, Default: ChainDockerUser, Values: []string{ChainDockerUser, ChainDocker}, Meaning: "the chain of Docker that gets the rules, or `\"DOCKER\"`"},
		{Name: "install", Type: TypeString, Default: string(InstallReplace), Values: []string{string(InstallReplace), string(InstallJump), string(InstallInsert)}, Meaning: "how the rules get into the chain: `\"replace\"`, `\"jump\"` or `\"insert\"`"},
		{Name: "verdict", Type: TypeString, DefaultText: "`\"accept\"`; `\"return\"` with `install = \"jump\"`", Values: []string{string(VerdictAccept), string(VerdictReturn)}, Meaning: "what `established` and `accept` do with a packet"},
		{Name: "input_guard", Type: TypeBool, Default: true, Meaning: "also filter, in INPUT, packets for published ports that docker-proxy on the host accepts"},
		{Name: "proxy_ports", Type: TypeProxyPorts, Default: []string{}, Example: `[8080, "53/udp"]`, Meaning: "published ports to protect in INPUT although no rule lists them: `8080`, `\"8000-8010\"`, `\"53/udp\"`; TCP unless a protocol is given"},
		{Name: "variables", Type: TypeObject, DefaultText: "`{}`", Meaning: "values of `variable` blocks on this host; constants"},
	},
}

var ipsetSchema = &Block{
	Type: "ipset", Label: NameLabel, Many: true,
	Meaning: "addresses that rules refer to by name",
	Attributes: []Attribute{
		{Name: "type", Type: TypeString, Default: string(SetHashNet), Values: []string{string(SetHashNet), string(SetHashIP), string(SetList)}, Meaning: "`\"hash:net\"`, `\"hash:ip\"` or `\"list:set\"`"},
		{Name: "entries", Type: TypeAddresses, Default: []string{}, Example: `["192.0.2.10", "198.51.100.0/24"]`, Meaning: "addresses, networks and ranges of both families", NotIn: notInListSet},
		{Name: "files", Type: TypeStrings, Default: []string{}, Example: `["lists/office.txt"]`, Meaning: "address-list files", NotIn: notInListSet},
		{Name: "exclude", Type: TypeAddresses, Default: []string{}, Example: `["192.0.2.10", "198.51.100.0/24"]`, Meaning: "addresses, networks and ranges to leave out", NotIn: notInListSet},
		{Name: "exclude_files", Type: TypeStrings, Default: []string{}, Example: `["lists/not.txt"]`, Meaning: "address-list files to leave out", NotIn: notInListSet},
		{Name: "aggregate", Type: TypeBool, DefaultText: "`true`; `false` for `hash:ip`", Meaning: "merge entries into the shortest list of networks that contains the same addresses", NotIn: notForListSet},
		{Name: "managed", Type: TypeBool, Default: true, Meaning: "`false`: the set is created if it is missing, and never filled, emptied or destroyed"},
		{Name: "ipv6_name", Type: TypeString, DefaultText: "`NAME-v6`", Example: `"crowdsec6-blacklists"`, Meaning: "the name on the host of the IPv6 set, whose owner has chosen it; only with `managed = false`"},
		{Name: "min_entries", Type: TypeNumber, Min: 0, Max: budget.MaxEntries, DefaultText: "0; 1 for a set with `files` that a deny uses", Meaning: "fewer entries are an error: those of the set and its files that are left after exclusion, both families together", NotIn: notInListSet},
		{Name: "members", Type: TypeSets, DefaultText: "none", Example: "[ipset.office, ipset.vpn]", Meaning: "the sets in a `list:set`; only there, and required there", NotIn: []Exception{
			{string(SetHashNet), `A hash:net set contains addresses: members is for type = "list:set".`},
			{string(SetHashIP), `A hash:ip set contains addresses: members is for type = "list:set".`},
		}},
		{Name: "hashsize", Type: TypeNumber, Min: 1, Max: maxHashSize, DefaultText: "1024", Meaning: "initial number of buckets; rounded up to a power of two, 64 or more; not for `list:set`", NotIn: notForListSet},
		{Name: "maxelem", Type: TypeNumber, Min: 1, Max: maxMaxElem, DefaultText: "1048576, or the next power of two that fits", Meaning: "most elements the set can hold; not for `list:set`", NotIn: notForListSet},
		{Name: "timeout", Type: TypeNumber, Min: 0, Max: maxSetTimeout, DefaultText: "none", Meaning: fmt.Sprintf("seconds from 0 to %d after which an element is removed; 0: elements may have timeouts of their own", maxSetTimeout)},
		{Name: "counters", Type: TypeBool, Default: false, Meaning: "count packets and bytes of each element"},
		{Name: "comment", Type: TypeBool, Default: false, Meaning: "elements may have comments"},
	},
}

var (
	notInListSet  = []Exception{{string(SetList), "A list:set contains sets: list them in members."}}
	notForListSet = []Exception{{string(SetList), "A list:set contains sets, and only a set of addresses has this attribute. Remove it."}}
)

var establishedSchema = &Block{
	Type:    "established",
	Meaning: "what open connections may do",
	Attributes: []Attribute{
		{Name: "sessions", Type: TypeString, Default: "keep", Values: []string{"keep", "recheck"}, Meaning: "`\"keep\"` or `\"recheck\"`: whether the rules check packets of open connections again"},
		{Name: "drop_invalid", Type: TypeBool, Default: false, Meaning: "drop packets in conntrack state INVALID right after"},
	},
}

var denySchema = &Block{
	Type: "deny", Label: NameLabel, Many: true,
	Meaning:    "which traffic is refused",
	Attributes: ruleAttributes,
	Blocks:     []*Block{rateSchema, connectionsSchema, logSchema},
	NullMeans:  ruleNull,
}

var acceptSchema = &Block{
	Type: "accept", Label: NameLabel, Many: true,
	Meaning:    "which traffic is allowed",
	Attributes: ruleAttributes,
	Blocks:     []*Block{rateSchema, connectionsSchema, logSchema},
	NullMeans:  ruleNull,
}

const ruleNull = "null could mean any or none. Leave %s out for any, or remove the rule for none."

var ruleAttributes = []Attribute{
	{Name: "source", Type: TypeAddressesAndSets, Example: addressesExample, DefaultText: "any", Meaning: "the source address is one of these"},
	{Name: "source_not", Type: TypeAddressesAndSets, Example: addressesExample, DefaultText: "none", Meaning: "the source address is none of these"},
	{Name: "destination", Type: TypeAddressesAndSets, Example: addressesExample, DefaultText: "any", Meaning: "the container's address, after DNAT, is one of these; in `input` the host's own address"},
	{Name: "destination_not", Type: TypeAddressesAndSets, Example: addressesExample, DefaultText: "none", Meaning: "the container's address, after DNAT, is none of these; in `input` the host's own address"},
	{Name: "protocol", Type: TypeProtocols, DefaultText: "any", Meaning: "`\"tcp\"`, `\"udp\"`, `\"sctp\"`, `\"icmp\"`, `\"icmpv6\"`, or a number from 1 to 255; required with ports"},
	{Name: "ports", Type: TypePorts, Example: portsExample, DefaultText: "any", Meaning: "the port of the host itself; only in `input`", NotIn: onlyInInput},
	{Name: "published_ports", Type: TypePorts, Example: portsExample, DefaultText: "any", Meaning: "the port of the host that the client connected to; not in `egress` and `input`", NotIn: publishedNotIn},
	{Name: "published_address", Type: TypeAddresses, Example: `["192.0.2.10", "2001:db8::10"]`, DefaultText: "any", Meaning: "the address of the host that the client connected to; not in `egress` and `input`", NotIn: publishedNotIn},
	{Name: "container_ports", Type: TypePorts, Example: portsExample, DefaultText: "any", Meaning: "the destination port after DNAT: that of the container; not in `input`", NotIn: containerNotInInput},
	{Name: "source_ports", Type: TypePorts, Example: portsExample, DefaultText: "any", Meaning: "the source port"},
	{Name: "icmp_types", Type: TypeICMPTypes, Example: `["echo-request"]`, DefaultText: "any", Meaning: "the type of an ICMP message"},
	{Name: "interfaces", Type: TypeStrings, Example: `["eth0"]`, DefaultText: "those of the host", Meaning: "the packet arrives on one of these, instead of one of the host's `external_interfaces`"},
	{Name: "out_interfaces", Type: TypeStrings, Example: `["eth0"]`, DefaultText: "those of the host", Meaning: "the packet leaves on one of these, instead of one of the host's `container_interfaces`; not in `input`", NotIn: containerNotInInput},
	{Name: "hosts", Type: TypeStrings, Example: `["web*"]`, DefaultText: "all", Meaning: "the rule exists only on hosts whose label matches one of these patterns"},
	{
		Name: "action", Type: TypeString, Default: string(ActionDrop), Values: []string{string(ActionDrop), string(ActionReject)}, Meaning: "`\"drop\"` or `\"reject\"`; only in `deny`",
		NotIn: []Exception{{"accept", "An accept has no action: what it matches is allowed. Remove action, or write a deny block instead."}},
	},
	{Name: "enabled", Type: TypeBool, Default: true, Meaning: "`false`: the rule is checked and left out"},
	{Name: "expires", Type: TypeString, Example: `"2027-01-31"`, DefaultText: "never", Meaning: "the last day of the rule in UTC, such as `\"2027-01-31\"`, or its end, `\"2027-01-31T18:00:00Z\"`"},
	{Name: "description", Type: TypeString, Example: `"the public web site"`, DefaultText: "none", Meaning: "for people; not in the emitted files"},
	{Name: "for_each", Type: TypeElements, DefaultText: "one rule", Meaning: "one rule for each element"},
}

const (
	addressesExample = `[ipset.office, "192.0.2.10"]`
	portsExample     = `[80, "8000-8010"]`
)

// topLevel is the context of blocks that are in no other block.
const topLevel = ""

var (
	onlyInInput = []Exception{
		{topLevel, "ports is the port of a service of the host itself, in the input block. Use published_ports for the port that Docker publishes, or container_ports for the port of the container."},
		{"egress", "ports is the port of a service of the host itself, in the input block. Use container_ports for the port of the server outside."},
	}
	publishedNotIn = []Exception{
		{"egress", "Egress packets have no published port or address. Use container_ports for the port of the server outside, and destination for its address."},
		{"input", "The policy's own rules decide about published ports, also where docker-proxy answers on the host. Use ports for the port of a service of the host, and destination for its address."},
	}
	containerNotInInput = []Exception{
		{"input", "Packets to the host itself go to no container. Use ports for the port of a service of the host."},
	}
)

var rateSchema = &Block{
	Type:    "rate",
	Meaning: "limits new connections over a time",
	Attributes: []Attribute{
		{Name: "limit", Type: TypeString, Required: true, Example: `"20/second"`, Meaning: "a number over a `second`, `minute`, `hour` or `day`: `\"20/second\"`"},
		{Name: "burst", Type: TypeNumber, Default: defaultBurst, Min: 1, Max: maxBurst, Meaning: fmt.Sprintf("how many may come at once, 1 to %d", maxBurst)},
		{Name: "per", Type: TypeString, Default: "source", Values: []string{"source", "rule"}, Meaning: "`\"source\"`: each source address has a count of its own; `\"rule\"`: one count for all"},
	},
}

var connectionsSchema = &Block{
	Type:    "connections",
	Meaning: "limits open connections",
	Attributes: []Attribute{
		{Name: "max", Type: TypeNumber, Required: true, Min: 1, Max: maxConnections, Meaning: fmt.Sprintf("open connections at a time, 1 to %d", maxConnections)},
		{Name: "per_prefix_v4", Type: TypeNumber, Default: 32, Min: 1, Max: 32, Meaning: "length of the prefix whose IPv4 sources are counted together"},
		{Name: "per_prefix_v6", Type: TypeNumber, Default: 128, Min: 1, Max: 128, Meaning: "the same for IPv6"},
	},
}

var logSchema = &Block{
	Type:    "log",
	Meaning: "the rule also logs",
	Attributes: []Attribute{
		{Name: "prefix", Type: TypeString, DefaultText: "`\"dockerfw NAME: \"`", Example: `"dockerfw web: "`, Meaning: fmt.Sprintf("start of each line; printable ASCII without `\"` and `\\`, up to %d bytes, %d with `nflog_group`", maxLogPrefix, maxNFLogPrefix)},
		{Name: "level", Type: TypeString, Default: "warning", Values: []string{"emerg", "alert", "crit", "error", "warning", "notice", "info", "debug", "err", "warn", "panic"}, Meaning: "`emerg`, `alert`, `crit`, `error`, `warning`, `notice`, `info` or `debug` (also `err`, `warn`, `panic`); not with `nflog_group`"},
		{Name: "limit", Type: TypeString, Default: "10/minute", Example: `"10/minute"`, Meaning: fmt.Sprintf("most lines over a time; the first %d come at once", defaultBurst)},
		{Name: "nflog_group", Type: TypeNumber, Min: 0, Max: maxNFLogGroup, DefaultText: "none", Meaning: fmt.Sprintf("send to this NFLOG group, 0 to %d, instead of the kernel log", maxNFLogGroup)},
	},
}

var defaultSchema = &Block{
	Type:    "default",
	Meaning: "what happens to all other traffic",
	Attributes: []Attribute{
		{Name: "allow", Type: TypeAddressesAndSets, Default: []string{}, Example: addressesExample, Meaning: "sources that are left to Docker's own rules; in `egress` destinations; in `input` sources that are left to the host's own rules"},
		{Name: "action", Type: TypeString, Default: string(ActionDrop), Values: []string{string(ActionDrop), string(ActionReject), string(ActionReturn)}, Meaning: "`\"drop\"`, `\"reject\"`, or `\"return\"`: nothing is refused"},
	},
	Blocks:    []*Block{logSchema},
	NullMeans: "null could mean everyone or nobody. Leave %s out for its default.",
}

var egressSchema = &Block{
	Type:    "egress",
	Meaning: "the same for packets that leave containers",
	Blocks:  []*Block{denySchema, acceptSchema, defaultSchema},
}

var inputSchema = &Block{
	Type:    "input",
	Meaning: "the same for packets to the host itself",
	Blocks:  []*Block{denySchema, acceptSchema, defaultSchema},
}

var variableSchema = &Block{
	Type: "variable", Label: NameLabel, Many: true,
	Meaning: "values from outside the policy",
	Attributes: []Attribute{
		{Name: "type", Type: TypeConstraint, DefaultText: "any", Meaning: "as in Terraform: `string`, `number`, `bool`, `any`, `list(string)`, `set(…)`, `map(…)`, `tuple([…])`, `object({ a = string, b = optional(number, 5) })`"},
		{Name: "default", Type: TypeConstant, DefaultText: "none: a value is required", Meaning: "the value when none is given"},
		{Name: "description", Type: TypeString, DefaultText: "none", Example: `"what it is for"`, Meaning: "for people"},
	},
	Blocks: []*Block{validationSchema},
}

var validationSchema = &Block{
	Type: "validation", Many: true,
	Meaning: "a condition on the value",
	Attributes: []Attribute{
		{Name: "condition", Type: TypeBool, Required: true, Meaning: "must be true"},
		{Name: "error_message", Type: TypeString, Required: true, Example: `"The list must not be empty."`, Meaning: "the message if it is not"},
	},
}

var localsSchema = &Block{
	Type: "locals", Many: true, Names: true,
	Meaning: "values with a name",
}

var testSchema = &Block{
	Type: "test", Label: NameLabel, Many: true,
	Meaning: "what the policy is expected to do with a packet",
	Attributes: []Attribute{
		{Name: "from", Type: TypeClients, DefaultText: "required; `\"anyone\"` with `from_not`", Example: `"192.0.2.10"`, Meaning: "the source address, which determines the family; or several clients, of all of which the test is"},
		{Name: "from_not", Type: TypeAddressesAndSets, DefaultText: "none", Example: addressesExample, Meaning: "the clients of `from` that the test is not about"},
		{Name: "protocol", Type: TypeProtocol, Default: "tcp", Meaning: "the protocol; an ICMP packet is an echo request"},
		{Name: "to_port", Type: TypeNumber, Min: 1, Max: 65535, DefaultText: "none", Meaning: "the published port; of a packet that leaves for the outside, its destination port"},
		{Name: "to_address", Type: TypeAddress, DefaultText: "none", Meaning: "the host address connected to; of a packet that leaves for the outside, its destination; else, without `to_port`, the container's address"},
		{Name: "container", Type: TypeAddress, DefaultText: "one that no rule lists", Meaning: "the container's address"},
		{Name: "container_port", Type: TypeNumber, Min: 1, Max: 65535, DefaultText: "that of `to_port`", Meaning: "the port after DNAT; without `to_port` the packet goes straight to a container, or to this port outside"},
		{Name: "interface", Type: TypeString, DefaultText: "the first external one", Example: `"eth0"`, Meaning: "the interface on which the packet arrives"},
		{Name: "out_interface", Type: TypeString, DefaultText: "see below", Example: `"eth0"`, Meaning: "the interface on which the packet leaves"},
		{Name: "state", Type: TypeString, Default: string(StateNew), Values: testStates, Meaning: "`\"new\"`, `\"established\"` (a client's packet), `\"reply\"` (to a container's connection), `\"related\"`, `\"invalid\"` or `\"untracked\"`"},
		{Name: "proxy", Type: TypeBool, Default: false, Meaning: "the packet ends at docker-proxy on the host, at `to_port`: the INPUT protection decides, and what it does not refuse is `\"docker\"`"},
		{Name: "to_host", Type: TypeBool, Default: false, Meaning: "the packet is for the host itself, at `to_port` if the protocol has ports: `input` and the INPUT protection decide, and what they do not refuse is `\"docker\"`, left to the host's own rules"},
		{Name: "host", Type: TypeString, DefaultText: "all hosts", Example: `"web1"`, Meaning: "the host of a fleet it is for"},
		{Name: "expect", Type: TypeString, Required: true, Values: expectations, Meaning: "`\"allowed\"` (`\"accept\"` or `\"docker\"`), `\"refused\"` (`\"drop\"` or `\"reject\"`), or exactly `\"accept\"`, `\"drop\"`, `\"reject\"`, or `\"docker\"`: left to Docker's own rules"},
		{Name: "by", Type: TypeString, DefaultText: "any", Example: `"accept.https"`, Meaning: "the block that decides: `\"established\"`, `\"deny.NAME\"`, `\"accept.NAME\"` or `\"default\"`"},
	},
}

var (
	testStates   = []string{string(StateNew), string(StateEstablished), string(StateReply), string(StateRelated), string(StateInvalid), string(StateUntracked)}
	expectations = []string{string(ExpectAllowed), string(ExpectRefused), string(ExpectAccept), string(ExpectDrop), string(ExpectReject), string(ExpectDocker)}
)
