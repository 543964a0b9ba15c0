package randompolicy

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

// Many draws a policy of many rules without errors, of which most are alike, so that they are
// folded.
func Many(t *rapid.T) string {
	var b strings.Builder
	pick := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, "value") }
	rarely := func(what string) bool { return rapid.IntRange(0, 11).Draw(t, what) == 0 }
	n := func(most int) int { return rapid.IntRange(0, most).Draw(t, "n") }
	source := func() string {
		switch n(4) {
		case 0:
			return "[" + pick("ipset.a", "ipset.b", "ipset.both") + "]"
		case 1:
			return fmt.Sprintf(`["10.%d.0.0/16", "10.%d.%d.0/24", "2001:db8:%d::/48"]`, n(3), n(3), n(9), n(3))
		case 2:
			return fmt.Sprintf(`["10.%d.%d.%d", ipset.a]`, n(3), n(9), n(9))
		}
		return fmt.Sprintf(`["10.%d.%d.%d", "2001:db8:%d::%d"]`, n(3), n(9), n(9), n(3), n(9))
	}
	ports := func() string {
		first := 1000 + 2*n(9)
		if rarely("range") {
			return fmt.Sprintf(`"%d-%d"`, first, first+1+n(20))
		}
		return fmt.Sprint(first)
	}
	rule := func(i int, kind, in string) {
		fmt.Fprintf(&b, "%s \"r%d\" {\n", kind, i)
		far := "source"
		if in == "egress" {
			far = "destination"
		}
		if !rarely("any source") {
			fmt.Fprintf(&b, "%s = %s\n", far, source())
		}
		if rarely("excluded") {
			fmt.Fprintf(&b, "%s_not = [\"10.1.2.0/24\", \"2001:db8:1::/48\"]\n", far)
		}
		if !rarely("any protocol") {
			fmt.Fprintf(&b, "protocol = %s\n", pick(`["tcp"]`, `["tcp"]`, `["udp"]`, `["tcp", "udp"]`))
			if in == "" && !rarely("ports") {
				fmt.Fprintf(&b, "published_ports = [%s]\n", ports())
			} else if in == "" {
				b.WriteString("published_ports = [1000, 1002, \"2000-3000\"]\n")
			}
			if in == "egress" || rarely("container port") {
				fmt.Fprintf(&b, "container_ports = [%s]\n", ports())
			}
		}
		if in == "" && rarely("address") {
			b.WriteString("published_address = [\"198.51.100.1\", \"2001:db8::80\"]\n")
		}
		if rarely("interface") {
			fmt.Fprintf(&b, "interfaces = %s\n", pick(`["eth0"]`, `["wg+"]`, `["wg0"]`))
		}
		if rarely("limit") {
			b.WriteString(pick("log {}\n", "rate {\nlimit = \"20/second\"\nper = \"source\"\n}\n", "connections {\nmax = 9\n}\n"))
		}
		if rarely("end") {
			b.WriteString("expires = \"2036-12-31\"\n")
		}
		if kind == "deny" && rarely("reject") {
			b.WriteString("action = \"reject\"\n")
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "host {\nexternal_interfaces = %s\ninstall = %s\nverdict = %s\n}\n", pick(`["eth0"]`, `["eth0", "wg+"]`), pick(`"replace"`, `"jump"`, `"insert"`), pick(`"accept"`, `"return"`))
	b.WriteString("ipset \"a\" {\nentries = [\"192.0.2.0/24\", \"2001:db8:2::/48\"]\n}\nipset \"b\" {\nentries = [\"10.2.0.0/16\", \"2001:db8:3::/48\"]\n}\n")
	b.WriteString("ipset \"both\" {\ntype = \"list:set\"\nmembers = [ipset.a, ipset.b]\n}\n")
	if rapid.Bool().Draw(t, "recheck") {
		b.WriteString("established {\nsessions = \"recheck\"\n}\n")
	}
	number := 0
	some := func(most int, in string) {
		for range n(most) {
			kind := "accept"
			if n(3) == 0 {
				kind = "deny"
			}
			rule(number, kind, in)
			number++
		}
	}
	some(80, "")
	if rapid.Bool().Draw(t, "default") {
		b.WriteString("default {\nallow = [ipset.b]\n}\n")
	}
	b.WriteString("egress {\n")
	some(30, "egress")
	b.WriteString("default {\nallow = [\"172.16.0.0/12\", \"fd00::/8\"]\n}\n}\n")
	return b.String()
}
