// Package randompolicy draws random policies for property tests.
//
// In: a source of random choices. Out: the text of a policy, in HCL. It compiles nothing, and
// does not know which of its policies have errors.
package randompolicy

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// Text draws a policy with any attributes, from few values each, so that rules
// overlap, shadow and contradict each other. About half of the policies have errors.
func Text(t *rapid.T) string {
	var b strings.Builder
	pick := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, "value") }
	maybe := func(format string, values ...string) {
		if rapid.Bool().Draw(t, "written") {
			fmt.Fprintf(&b, format+"\n", pick(values...))
		}
	}
	addresses := []string{
		`"192.0.2.1"`, `"192.0.2.0/24"`, `"192.0.2.128-192.0.2.199"`, `"0.0.0.0/0"`, `"10.0.0.0/8"`,
		`"2001:db8::1"`, `"2001:db8::/32"`, `"::/0"`, `ipset.a`, `ipset.b`, `ipset.both`, `ipset.others`,
	}
	list := func(values []string, most int) string {
		chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(values), 1, most, rapid.ID).Draw(t, "list")
		return "[" + strings.Join(chosen, ", ") + "]"
	}
	maybeList := func(name string, values []string, most int) {
		if rapid.IntRange(0, 2).Draw(t, "written") == 0 {
			fmt.Fprintf(&b, "%s = %s\n", name, list(values, most))
		}
	}
	limits := func(kind string) {
		rate := rapid.IntRange(0, 4).Draw(t, "rate") == 0
		if rate {
			fmt.Fprintf(&b, "rate {\nlimit = %s\nper = %s\n", pick(`"20/second"`, `"7/minute"`, `"900/hour"`, `"5/day"`), pick(`"source"`, `"rule"`))
			maybe("burst = %s", "1", "5")
			b.WriteString("}\n")
		}
		// A deny with both is an error.
		if rapid.IntRange(0, 4).Draw(t, "connections") == 0 && !(rate && kind == "deny") {
			b.WriteString("connections {\nmax = 9\n")
			maybe("per_prefix_v4 = %s", "24", "31")
			maybe("per_prefix_v6 = %s", "64", "127")
			b.WriteString("}\n")
		}
		if rapid.IntRange(0, 3).Draw(t, "log") == 0 {
			b.WriteString(pick("log {}\n", "log {\nnflog_group = 5\n}\n", "log {\nlevel = \"info\"\nlimit = \"1/second\"\nprefix = \"a 'b' \"\n}\n"))
		}
	}
	rule := func(i int, in string) {
		kind := pick("deny", "accept")
		fmt.Fprintf(&b, "%s \"r%d\" {\n", kind, i)
		maybeList("source", addresses, 3)
		maybeList("source_not", addresses, 3)
		maybeList("destination", addresses, 2)
		maybeList("destination_not", addresses, 2)
		switch rapid.IntRange(0, 3).Draw(t, "protocol") {
		case 0:
			fmt.Fprintf(&b, "protocol = %s\n", list([]string{`"tcp"`, `"udp"`, `"sctp"`}, 2))
			switch in {
			case "":
				maybeList("published_ports", []string{"80", "443", `"1000-2000"`, "53"}, 3)
				fallthrough
			case "egress":
				maybeList("container_ports", []string{"80", `"3000-65535"`, "53"}, 2)
			case "input":
				maybeList("ports", []string{"22", "80", "68", `"440-1500"`}, 3)
			}
			maybeList("source_ports", []string{"53", `"1024-65535"`}, 2)
		case 1:
			fmt.Fprintf(&b, "protocol = %s\n", list([]string{`"tcp"`, `"icmp"`, `"icmpv6"`, "47", "51", "136", "255"}, 3))
		case 2:
			fmt.Fprintf(&b, "icmp_types = %s\n", list([]string{`"echo-request"`, `"packet-too-big"`, `"fragmentation-needed"`, `"3"`, `"13"`}, 2))
		}
		if in == "" {
			maybeList("published_address", []string{`"198.51.100.1"`, `"198.51.100.2"`, `"2001:db8::80"`}, 2)
		}
		maybeList("interfaces", []string{`"eth0"`, `"wg+"`, `"wg0"`, `"docker0"`}, 1)
		if in != "input" {
			maybeList("out_interfaces", []string{`"docker0"`, `"br-+"`, `"eth0"`}, 1)
		}
		if kind == "deny" {
			maybe("action = %s", `"drop"`, `"reject"`)
		}
		limits(kind)
		if rapid.IntRange(0, 5).Draw(t, "expires") == 0 {
			fmt.Fprintf(&b, "expires = %s\n", pick(`"2036-12-31"`, `"2037-06-30T12:00:00Z"`))
		}
		if rapid.IntRange(0, 9).Draw(t, "enabled") == 0 {
			b.WriteString("enabled = false\n")
		}
		b.WriteString("}\n")
	}
	defaultBlock := func() {
		b.WriteString("default {\n")
		if rapid.Bool().Draw(t, "open") {
			maybe("action = %s", `"return"`)
		} else {
			maybeList("allow", addresses, 3)
			maybe("action = %s", `"drop"`, `"reject"`)
		}
		b.WriteString("}\n")
	}

	fmt.Fprintf(&b, "host {\nexternal_interfaces = %s\n", pick(`["eth0"]`, `["eth0", "wg+"]`, `["eth+"]`))
	maybe("container_interfaces = %s", `["docker0"]`, `["docker0", "br-+"]`)
	maybe("families = %s", `["ipv4"]`, `["ipv6"]`, `["ipv4", "ipv6"]`)
	maybe("install = %s", `"replace"`, `"jump"`, `"insert"`)
	maybe("verdict = %s", `"accept"`, `"return"`)
	if rapid.IntRange(0, 3).Draw(t, "input protection") == 0 {
		b.WriteString("input_guard = false\n")
	} else {
		maybeList("proxy_ports", []string{"80", `"53/udp"`, `"70-90"`, `"1500-2500/sctp"`, `"443/tcp"`}, 2)
	}
	b.WriteString("}\nipset \"a\" {\n")
	maybeList("entries", addresses[:8], 5)
	maybeList("exclude", addresses[:7], 2)
	maybe("aggregate = %s", "true", "false")
	b.WriteString("}\nipset \"b\" {\ntype = \"hash:ip\"\nentries = [\"192.0.2.1\", \"192.0.2.130-192.0.2.140\", \"2001:db8::1\"]\n}\n")
	b.WriteString("ipset \"others\" {\nmanaged = false\n}\nipset \"both\" {\ntype = \"list:set\"\n")
	fmt.Fprintf(&b, "members = %s\n}\n", pick("[ipset.a, ipset.b]", "[ipset.b]", "[ipset.a, ipset.others]"))
	if rapid.Bool().Draw(t, "established") {
		b.WriteString("established {\n")
		maybe("sessions = %s", `"keep"`, `"recheck"`)
		maybe("drop_invalid = %s", "true", "false")
		b.WriteString("}\n")
	}
	n := rapid.IntRange(0, 5).Draw(t, "rules")
	for i := range n {
		rule(i, "")
	}
	if rapid.Bool().Draw(t, "default") {
		defaultBlock()
	}
	if rapid.Bool().Draw(t, "egress") {
		b.WriteString("egress {\n")
		for i := range rapid.IntRange(0, 3).Draw(t, "egress rules") {
			rule(n+i, "egress")
		}
		if rapid.Bool().Draw(t, "egress default") {
			defaultBlock()
		}
		b.WriteString("}\n")
	}
	if rapid.IntRange(0, 2).Draw(t, "input") == 0 {
		b.WriteString("input {\n")
		for i := range rapid.IntRange(0, 3).Draw(t, "input rules") {
			rule(n+3+i, "input")
		}
		if rapid.Bool().Draw(t, "input default") {
			defaultBlock()
		}
		b.WriteString("}\n")
	}
	return b.String()
}
