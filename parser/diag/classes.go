package diag

// classes is the registry of codes.
var classes = [...]Class{
	CodeFileRead: {
		Name:    "file-read",
		Meaning: "a file is missing, unreadable, not a regular file, or outside the policy's directory",
		Example: "`files = [\"missing.txt\"]` in `ipset`",
	},
	CodeSyntax: {
		Name:    "syntax",
		Meaning: "not HCL, or not JSON",
		Example: "`accept \"a\" {`",
	},
	CodeHidden: {
		Name:    "hidden",
		Meaning: "a character that makes the file read differently from what it contains, in comments and strings too: one that changes the direction of text (such as U+202E), a control character, a byte that is not UTF-8; in a quoted string, write `\\u202e`",
	},
	CodeSchema: {
		Name:    "schema",
		Meaning: "an unknown, missing or repeated attribute or block; a policy without `host`",
		Example: "`accept \"a\" { port = 80 }`",
	},
	CodeExpression: {
		Name:    "expression",
		Meaning: "an expression that has no value, such as a function that fails",
		Example: "`entries = [cidrhost(\"192.0.2.0/24\", 999)]` in `ipset`",
	},
	CodeReference: {
		Name:    "reference",
		Meaning: "a name that nothing declares; a `--host` or `hosts` pattern that matches no host",
		Example: "`default { allow = [ipset.nobody] }`",
	},
	CodeType: {
		Name:    "type",
		Meaning: "a value of the wrong type",
		Example: "`entries = \"192.0.2.1\"` in `ipset`",
	},
	CodeValue: {
		Name:    "value",
		Meaning: "a value that is not allowed or out of range; an empty list",
		Example: "`default { action = \"deny\" }`",
	},
	CodeName: {
		Name:    "name",
		Meaning: "a name that the kernel's tools do not accept, or that is too long",
		Example: "`ipset \"my set\" {}`",
	},
	CodeDuplicate: {
		Name:    "duplicate",
		Meaning: "the same thing twice: a name, an address, a key of an object, a port that another covers",
		Example: "`protocol = \"tcp\"` and `published_ports = [80, \"80-90\"]` in `accept`",
	},
	CodePort: {
		Name:    "port",
		Meaning: "not a port, a range whose end is below its start, or ports without a protocol that has them",
		Example: "`published_ports = [80]` in `accept`",
	},
	CodeProtocol: {
		Name:    "protocol",
		Meaning: "not a protocol",
		Example: "`protocol = \"http\"` in `accept`",
	},
	CodeICMPType: {
		Name:    "icmp-type",
		Meaning: "not an ICMP type, or not one of the rule's protocol",
		Example: "`icmp_types = [\"ping\"]` in `accept`",
	},
	CodeInterface: {
		Name:    "interface",
		Meaning: "not an interface name, or no interface at all",
		Example: "`interfaces = [\"eth0:1\"]` in `accept`",
	},
	CodeConflict: {
		Name:    "conflict",
		Meaning: "attributes that cannot be combined",
		Example: "`members = []` in `ipset`",
	},
	CodeVariable: {
		Name:    "variable",
		Meaning: "a variable without a value, with one of another type, unknown, or whose validation fails",
		Example: "`variable \"offices\" {}`",
	},
	CodeUnmanagedFill: {
		Name:    "unmanaged-fill",
		Meaning: "content for an unmanaged set",
		Example: "`managed = false` and `entries = [\"192.0.2.1\"]` in `ipset`",
	},
	CodeNoFamily: {
		Name:    "no-family",
		Meaning: "a rule that no packet can match",
		Example: "`source = [\"192.0.2.1\"]` and `destination = [\"2001:db8::1\"]` in `accept`",
	},
	CodeSetFull: {
		Name:    "set-full",
		Meaning: "more elements than `maxelem`",
		Example: "`maxelem = 1` and `entries = [\"192.0.2.1\", \"192.0.2.9\"]` in `ipset`",
	},
	CodeSetElement: {
		Name:    "set-element",
		Meaning: "an element that the set's type cannot hold",
		Example: "`type = \"hash:ip\"` and `entries = [\"10.0.0.0/8\"]` in `ipset`",
	},
	CodeTooFew: {
		Name:    "too-few",
		Meaning: "a set with fewer entries than `min_entries`, or without entries although it has `files` and a deny uses it",
		Example: "`min_entries = 2` and `entries = [\"192.0.2.1\"]` in `ipset`",
	},
	CodeTooMany: {
		Name:    "too-many",
		Meaning: "more conditions than one iptables rule can hold: over about 30 sets in `source_not` or `allow`. Join sets into one",
	},
	CodeAddressSyntax: {
		Name:    "address-syntax",
		Meaning: "not an address: a host name, a short form, a leading zero, a port after it",
		Example: "`entries = [\"192.0.2\"]` in `ipset`",
	},
	CodePrefixLength: {
		Name:    "prefix-length",
		Meaning: "what follows the `/` is not a prefix length: out of range, or a netmask",
		Example: "`entries = [\"192.0.2.0/33\"]` in `ipset`",
	},
	CodeHostBits: {
		Name:    "host-bits",
		Meaning: "bits set below the mask",
		Example: "`entries = [\"192.0.2.1/24\"]` in `ipset`",
	},
	CodeReversedRange: {
		Name:    "reversed-range",
		Meaning: "an address range whose end is below its start",
		Example: "`entries = [\"192.0.2.9-192.0.2.1\"]` in `ipset`",
	},
	CodeMixedRange: {
		Name:    "mixed-range",
		Meaning: "a range from an address of one family to one of the other",
		Example: "`entries = [\"192.0.2.1-2001:db8::1\"]` in `ipset`",
	},
	CodeListSyntax: {
		Name:    "list-syntax",
		Meaning: "a list file that is not a list: binary, compressed, UTF-16, malformed JSON, two entries on a line, a line that is too long",
		Example: "`files = [\"lists/object.json\"]` in `ipset`",
	},
	CodeListRead: {
		Name:    "list-read",
		Meaning: "a list file that could not be read to its end",
	},
	CodeBudget: {
		Name:    "budget",
		Meaning: "an input that is larger, nested deeper or needs more computation than is allowed; see [Budgets](#budgets)",
		Example: "`locals { row = range(1001) }` and `locals { many = [for a in local.row: local.row] }`",
	},
	CodeDumpSyntax: {
		Name:    "dump-syntax",
		Meaning: "a line of saved tables or sets that iptables-restore or ipset restore would not understand",
	},
	CodeDumpLoad: {
		Name:    "dump-load",
		Meaning: "a line of saved tables or sets that iptables-restore or ipset restore would refuse",
	},
	CodeInternal: {
		Name:    "internal",
		Meaning: "a fault of dockerfw, not of the policy; please report it",
	},

	CodeAcceptAll: {
		Name: "accept-all", Severity: SeverityWarning,
		Meaning: "an ACCEPT that skips Docker's own rules and so opens ports that are not published",
		Example: "`source = [\"192.0.2.1\"]` in `accept`",
	},
	CodeChainDocker: {
		Name: "chain-docker", Severity: SeverityWarning,
		Meaning: "rules in DOCKER fail open on engines since 17.06",
		Example: "`chain = \"DOCKER\"` in `host`",
	},
	CodeNotExternal: {
		Name: "not-external", Severity: SeverityWarning,
		Meaning: "an accept on an interface that `default` leaves open",
		Example: "`interfaces = [\"eth1\"]` in `accept`",
	},
	CodeOpenDefault: {
		Name: "open-default", Severity: SeverityWarning,
		Meaning: "every client that is not denied is admitted",
		Example: "`default { action = \"return\" }`",
	},
	CodeFamilyOpen: {
		Name: "family-open", Severity: SeverityWarning,
		Meaning: "a negation that excludes no address of one family",
		Example: "`source_not = [\"192.0.2.1\"]` in `accept`",
	},
	CodeExpiresSoon: {
		Name: "expires-soon", Severity: SeverityWarning,
		Meaning: "a rule within 14 days of its date",
		Example: "`expires = \"2027-01-31\"` in `accept`, on 20 January",
	},
	CodeExpired: {
		Name: "expired", Severity: SeverityWarning,
		Meaning: "a rule past its date, which no longer matches any packet",
		Example: "`expires = \"2020-01-31\"` in `accept`",
	},
	CodeUnusedSet: {
		Name: "unused-set", Severity: SeverityWarning,
		Meaning: "a set that no rule uses; it is created all the same",
		Example: "`ipset \"a\" { entries = [\"192.0.2.1\"] }`",
	},
	CodeEmptySet: {
		Name: "empty-set", Severity: SeverityWarning,
		Meaning: "a set without elements: it matches no client",
		Example: "`ipset \"a\" {}`",
	},
	CodeUnguarded: {
		Name: "unguarded", Severity: SeverityWarning,
		Meaning: "a deny for containers only, which has no effect on clients of docker-proxy",
		Example: "`deny \"a\" { out_interfaces = [\"br-a\"] }` and `accept \"b\" {` `protocol = \"tcp\"` `published_ports = [80]` `}`",
	},
	CodeHostService: {
		Name: "host-service", Severity: SeverityWarning,
		Meaning: "a range of ports that the INPUT protection covers and that includes a port of the host itself: ssh, DHCPv6, Swarm",
		Example: "`deny \"a\" {` `protocol = \"tcp\"` `published_ports = [\"1-1023\"]` `}`",
	},
	CodeIgnore: {
		Name: "ignore", Severity: SeverityWarning,
		Meaning: "a `dockerfw:ignore` comment without a class or a reason, or for a warning that does not occur",
		Example: "`# dockerfw:ignore empty-set`",
	},
	CodeSSHClosed: {
		Name: "ssh-closed", Severity: SeverityWarning,
		Meaning: "an `input` block that lets nobody reach port 22 of the host: load it with `--confirm`",
		Example: "`input {}`",
	},
	CodeNotOpened: {
		Name: "not-opened", Severity: SeverityWarning,
		Meaning: "with `target = \"nftables\"`, an accept with `container_ports` or `destination` and no published port or address: Docker's own tables still drop packets to ports that are not published",
	},
	CodeLargeSet: {
		Name: "large-set", Severity: SeverityWarning,
		Meaning: "with `target = \"nftables\"`, a set with more than 100,000 entries of a family: loading and listing it takes nft long, and much memory",
	},

	CodeNeverMatches: {
		Name: "never-matches", Severity: SeverityWarning, OnlyCheck: true,
		Meaning: "a rule that no packet can match; one that uses only empty sets is reported at the set, as `empty-set`",
		Example: "`source = [\"192.0.2.1\"]` and `source_not = [\"192.0.2.0/24\"]` in `accept`",
	},
	CodeCovered: {
		Name: "covered", Severity: SeverityWarning, OnlyCheck: true,
		Meaning: "a rule, or a port or address of one, that is shadowed by the rules before it",
		Example: "`deny \"a\" { source = [\"192.0.2.0/24\"] }` and `deny \"b\" { source = [\"192.0.2.1\"] }`",
	},
	CodeDenied: {
		Name: "denied", Severity: SeverityWarning, OnlyCheck: true,
		Meaning: "an accept whose clients are all denied",
		Example: "`deny \"a\" { source = [\"192.0.2.0/24\"] }` and `accept \"b\" { source = [\"192.0.2.1\"] }`",
	},
	CodePartlyDenied: {
		Name: "partly-denied", Severity: SeverityNote, OnlyCheck: true,
		Meaning: "a note: an accept of which a broader deny blocks some clients, such as an office inside a blocked country; it lists them and shows how to except them with `source_not`",
		Example: "`deny \"a\" { source = [\"192.0.2.0/24\"] }` and `accept \"b\" { source = [\"192.0.2.1\", \"198.51.100.1\"] }`",
	},
	CodeRedundant: {
		Name: "redundant", Severity: SeverityWarning, OnlyCheck: true,
		Meaning: "a rule without which every packet is treated the same",
		Example: "`accept \"a\" { source = [\"192.0.2.1\"] }` and `accept \"b\" { source = [\"192.0.2.0/24\"] }`",
	},
	CodeAllowedAnyway: {
		Name: "allowed-anyway", Severity: SeverityWarning, OnlyCheck: true,
		Meaning: "an accept that has no effect because `default` already admits its clients; on an interface that is not external, `not-external` is reported instead",
		Example: "`accept \"a\" { published_address = [\"192.0.2.1\"] }` and `default { action = \"return\" }`",
	},
	CodeOverlappingSets: {
		Name: "overlapping-sets", Severity: SeverityWarning, OnlyCheck: true,
		Meaning: "an element of a list that another element of that list contains; a note where two only overlap",
		Example: "`source = [ipset.a, \"192.0.2.10\"]` in `accept`, with that address in the set",
	},
	CodeUnusedName: {
		Name: "unused-name", Severity: SeverityWarning, OnlyCheck: true,
		Meaning: "a variable or local value that is not used",
		Example: "`locals { a = 1 }`",
	},
	CodeWorldOpen: {
		Name: "world-open", Severity: SeverityNote, OnlyCheck: true,
		Meaning: "a note, not a warning: the published ports, and the ports of the host, that accepts open to everyone, with their interfaces if the accepts list some, and the denies that block some clients",
		Example: "`protocol = \"tcp\"` and `published_ports = [80]` in `accept`",
	},
	CodeDisabled: {
		Name: "disabled", Severity: SeverityNote, OnlyCheck: true,
		Meaning: "a note: a rule that is left out",
		Example: "`enabled = false` in `accept`",
	},
	CodeTooLarge: {
		Name: "too-large", Severity: SeverityWarning, OnlyCheck: true,
		Meaning: "more rules than can be analyzed; the others were not",
	},
	CodeProxyOpen: {
		Name: "proxy-open", Severity: SeverityWarning, OnlyCheck: true,
		Meaning: "no `input` block, although `default` is closed: published ports that no rule lists stay reachable where docker-proxy answers, over IPv6 for example, and so does the host itself",
		Example: "`host { external_interfaces = [\"eth0\"] }`",
	},

	CodeCompose: {
		Name: "compose", Published: true,
		Meaning: "an error: a Compose file that cannot be read, a variable without a value in a port, or a file from the network",
	},
	CodeContainers: {
		Name: "containers", Published: true,
		Meaning: "an error: `--published` with something else than the output of `docker ps --format json`",
	},
	CodePublishedOpen: {
		Name: "published-open", Published: true,
		Meaning: "an error: a published port that docker-proxy opens to clients that the policy refuses: no rule lists the port, `proxy_ports` neither, and there is no `input` block, or its `accept` blocks accept the port for the host",
	},
	CodeUnlistedPort: {
		Name: "unlisted-port", Severity: SeverityWarning, Published: true,
		Meaning: "a published port that no rule lists, so that only `default` decides; a note where `default` lets some clients in. Ports in `proxy_ports` are not reported",
	},
	CodeNotPublished: {
		Name: "not-published", Severity: SeverityWarning, Published: true,
		Meaning: "an accept that lists a port that no container publishes, or only on 127.0.0.1",
	},
	CodeLoopbackPort: {
		Name: "loopback-port", Severity: SeverityNote, Published: true,
		Meaning: "a note: ports that are published on 127.0.0.1; a warning if everyone on the network segment reaches them with engines before 28",
	},
	CodeHostNetwork: {
		Name: "host-network", Severity: SeverityWarning, Published: true,
		Meaning: "a container with `network_mode: host`, without an `input` block that closes its ports; a note with one",
	},
	CodeOwnAddress: {
		Name: "own-address", Severity: SeverityWarning, Published: true,
		Meaning: "a container in a `macvlan` or `ipvlan` network, whose packets pass no rules of the host",
	},
	CodeUnknownNetwork: {
		Name: "unknown-network", Severity: SeverityNote, Published: true,
		Meaning: "a note: a container in a network that the Compose files do not define (`external: true`, `network_mode`), or that of another container: whether rules of the host see its packets is not known",
	},
	CodeInactive: {
		Name: "inactive", Severity: SeverityNote, Published: true,
		Meaning: "a note: a service that publishes ports and was left out, because none of its profiles is active",
	},
}
