//go:build linux

package lab

import (
	"net/netip"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// NewHostRouter makes a router with no rules at all, for those of whole hosts. Packets are
// translated by what its nat table has, and what is for the host itself is answered by its
// kernel.
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

// HostAddress is an address of the router itself.
func HostAddress(f ir.Family) netip.Addr {
	if f == ir.IPv6 {
		return netip.MustParseAddr("fd00:ffff::1")
	}
	return netip.MustParseAddr("100.127.255.1")
}

// Fate is what is seen of a packet from outside.
type Fate struct {
	// Device is where it came out; "" if it did not.
	Device string
	// Answer is what came back instead: the kind of a REJECT, or what the kernel answers to
	// packets for the host itself; "" for nothing.
	Answer string
}

// Fates sends packets and returns what is seen of each.
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
