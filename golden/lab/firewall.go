//go:build linux

package lab

// Backend is one of the two implementations of iptables: they use different tables
// of the kernel, and a packet passes both.
type Backend string

// The backends.
const (
	NFT    Backend = "nft"
	Legacy Backend = "legacy"
)

// Backends are both, for tests that run on each.
var Backends = []Backend{NFT, Legacy}

// Tool returns the name of a program of the backend: Legacy.Tool(6, "-save") is
// ip6tables-legacy-save. The suffix may be empty.
func (b Backend) Tool(family int, suffix string) string {
	return ipTables(family) + "-" + string(b) + suffix
}

func ipTables(family int) string {
	switch family {
	case 4:
		return "iptables"
	case 6:
		return "ip6tables"
	}
	panic("lab: an IP family is 4 or 6")
}

// IPTables runs iptables, or ip6tables for family 6.
func (ns *Namespace) IPTables(b Backend, family int, args ...string) error {
	_, _, err := ns.Run(append([]string{b.Tool(family, ""), "-w", "10"}, args...)...)
	return err
}

// IPTablesRestore loads rules with --noflush.
func (ns *Namespace) IPTablesRestore(b Backend, family int, content string) error {
	_, _, err := ns.Input(content, b.Tool(family, "-restore"), "--noflush", "-w", "10")
	return err
}

// IPTablesSave returns a table as iptables-save prints it.
func (ns *Namespace) IPTablesSave(b Backend, family int, table string) string {
	ns.t.Helper()
	return ns.MustRun(b.Tool(family, "-save"), "-t", table)
}

// IPSetRestore loads sets.
func (ns *Namespace) IPSetRestore(content string) error {
	_, _, err := ns.Input(content, "ipset", "restore")
	return err
}

// IPSetSave returns all sets, their entries in a stable order.
func (ns *Namespace) IPSetSave() string {
	ns.t.Helper()
	return ns.MustRun("ipset", "save", "-sorted")
}
