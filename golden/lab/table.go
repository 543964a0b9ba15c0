//go:build linux

package lab

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// NewTableRouter makes a router whose packets pass a chain of the table of target nftables, which [Router.LoadTable]
// loads, instead of DOCKER-USER. Its tables of iptables belong to backend nft and decide nothing.
func NewTableRouter(t testing.TB) *Router {
	t.Helper()
	Require(t, "nft")
	r := newRouter(t, NFT)
	for _, family := range []int{4, 6} {
		r.mustLoad(family, fmt.Sprintf(`*raw
-A PREROUTING -m tos --tos %#02x/0xff -j CT --notrack
COMMIT
*mangle
-A POSTROUTING -m mark --mark 0x1 -j TOS --set-tos %#02x/0xff
COMMIT
`, classUntracked, classDocker))
	}
	r.track()
	return r
}

// hookLine is what makes a chain of the table a base chain.
var hookLine = regexp.MustCompile(`(?m)^\t\ttype filter hook .*\n`)

// LoadTable loads the file of target nftables, with one difference: its base chains are at no hook, and forwarded
// packets pass one of them from a base chain of the router with the same priority, so that packets that it accepts can be
// distinguished from those that it leaves to Docker. In the one for packets to the host there is no such difference.
// nft runs in a time zone other than UTC, which must not matter.
func (r *Router) LoadTable(file, chain string) error {
	dscp := classSetup >> 2
	end := "\t\tmeta mark set 1\n"
	if chain == ir.NFTInput {
		end = fmt.Sprintf("\t}\n\tchain router-end {\n\t\ttype filter hook forward priority filter; policy accept;\n\t\tip dscp != %d meta mark set 1\n\t\tip6 dscp != %[1]d meta mark set 1\n", dscp)
	}
	router := fmt.Sprintf("table %s %s {\n\tchain router {\n\t\ttype filter hook forward priority filter - %d; policy accept;\n\t\tip dscp %d accept\n\t\tip6 dscp %[4]d accept\n\t\tjump %s\n%s\t}\n}\n",
		ir.NFTFamily, ir.NFTTable, -ir.NFTPriority, dscp, chain, end)
	_, _, err := r.Input(hookLine.ReplaceAllString(file, "")+router, "env", "TZ=JST-9", "nft", "-f", "-")
	return err
}
