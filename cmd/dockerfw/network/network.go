package network

import (
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// State is the network of a host at one moment.
type State struct {
	// Links are the interfaces by their index.
	Links []Link
	// Defaults are the default routes of all routing tables that routing rules lead to. A route to
	// at least half of the IPv4 addresses, or an eighth of the IPv6 addresses, counts: VPNs add
	// 0.0.0.0/1 and 128.0.0.0/1, and 2000::/3 is the IPv6 internet.
	Defaults []DefaultRoute
}

// Link is a network interface.
type Link struct {
	// Index is its number in the namespace, from 1.
	Index int
	Name  string
	// Alternatives are its altnames, which netfilter does not know.
	Alternatives []string
	// Kind is what "ip -details link" prints, such as "vlan", "bridge" and "wireguard"; "device" for
	// hardware.
	Kind string
	// Controller is the index of the bridge, bond or VRF that the interface is in; 0 for none.
	Controller int
	// Lower is the index of the interface that a VLAN, MACVLAN, IPVLAN or VXLAN is on; 0 for none, or
	// for one in another namespace.
	Lower    int
	Loopback bool
	// Addresses are those with scope global, private ones too, with the length of their network.
	Addresses []netip.Prefix
	// LinkLocal is an IPv6 link-local address, at which neighbors reach the host although there is no
	// other; invalid for none.
	LinkLocal netip.Addr
}

// DefaultRoute is a default route of a family.
type DefaultRoute struct {
	Family ir.Family
	// Link is the index of the interface that it leads to; 0 if the kernel reports a nexthop object
	// instead, as it does where net.ipv4.nexthop_compat_mode is 0.
	Link int
}

// Link returns the interface with an index; nil for none.
func (s *State) Link(index int) *Link {
	if i := slices.IndexFunc(s.Links, func(l Link) bool { return l.Index == index }); i >= 0 {
		return &s.Links[i]
	}
	return nil
}

// Named returns the interface with a name; nil for none. An altname is not a name.
func (s *State) Named(name string) *Link {
	if i := slices.IndexFunc(s.Links, func(l Link) bool { return l.Name == name }); i >= 0 {
		return &s.Links[i]
	}
	return nil
}

// isDefault reports whether a route to a destination counts as a default route; see State.
func isDefault(to netip.Prefix) bool {
	if to.Addr().Is4() {
		return to.Bits() <= 1
	}
	return to.Bits() <= 3
}
