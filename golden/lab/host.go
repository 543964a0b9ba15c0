//go:build linux

package lab

import (
	"net/netip"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// NewHostRouter makes a router without any rules, for the rules of a whole host. Its nat table
// translates packets, and its kernel answers packets for the host itself.
func NewHostRouter(t testing.TB, b Backend) *Router {
	t.Helper()
	r := newRouter(t, b)
	r.ownNAT = true
	for _, family := range []int{4, 6} {
		r.mustLoad(family, "*filter\n-A FORWARD -m conntrack --ctstate INVALID\nCOMMIT\n*nat\nCOMMIT\n")
	}
	r.track()
	return r
}

// HostAddress returns an address of the router itself.
func HostAddress(f ir.Family) netip.Addr {
	if f == ir.IPv6 {
		return netip.MustParseAddr("fd00:ffff::1")
	}
	return netip.MustParseAddr("100.127.255.1")
}

// Fate is the observed result of a packet.
type Fate struct {
	// Device is the interface that it left on; "" if it was not forwarded.
	Device string
	// Answer is the answer that came back instead: the kind of a REJECT, or the answer of the
	// kernel to a packet for the host itself; "" for none.
	Answer string
}

// Fates sends packets and returns the observed results of each.
func (r *Router) Fates(packets []packet.Packet) ([][]Fate, error) {
	flows, err := r.sendAll(packets)
	if err != nil {
		return nil, err
	}
	out := make([][]Fate, len(packets))
	for i, f := range flows {
		for _, a := range r.seen[f.id] {
			out[i] = append(out[i], Fate{a.device, a.answer})
		}
	}
	return out, nil
}
