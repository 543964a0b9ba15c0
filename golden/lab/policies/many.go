package policies

import (
	"fmt"
	"strings"
)

// ManyAccepts returns the text of a policy of 10,000 accepts of one client each for one of 500
// published ports, 10000, 10007 and so on: 20 clients for each. The clients are addresses, or
// ipsets. The default admits 198.51.100.2, which no accept lists.
func ManyAccepts(protocol string, sets bool) string {
	const ports, clients = 500, 20
	var b strings.Builder
	b.WriteString("host {\n  external_interfaces = [\"eth0\"]\n}\n")
	for i := range clients {
		if sets {
			fmt.Fprintf(&b, "ipset \"s%d\" {\n  entries = [\"192.0.%d.0/24\", \"2001:db8:%[1]d::/48\"]\n}\n", i, i)
		}
	}
	for i := range ports * clients {
		source := fmt.Sprintf("%q", fmt.Sprintf("10.0.%d.%d", i>>8, i&255))
		if sets {
			source = fmt.Sprintf("ipset.s%d", i/ports)
		}
		fmt.Fprintf(&b, "accept \"r%d\" {\n  protocol        = %q\n  published_ports = [%d]\n  source          = [%s]\n}\n", i, protocol, ManyAcceptsPort(i%ports), source)
	}
	b.WriteString("default {\n  allow = [\"198.51.100.2\"]\n}\n")
	return b.String()
}

// ManyAcceptsPort is one of the ports of ManyAccepts; i is 0 to 499.
func ManyAcceptsPort(i int) int { return 10_000 + 7*i }
