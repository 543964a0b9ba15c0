package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// A list that changes while it is read is read again, for two seconds. With 3,000 interfaces of which
// one changes all the time, five attempts in a row were not enough.
const (
	attempts     = 20
	attemptPause = 100 * time.Millisecond
)

// Read reads the network namespace of the calling thread.
func Read() (*State, error) {
	s := &State{}
	links, err := stable(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("reading the network interfaces: %w", err)
	}
	for _, l := range links {
		s.Links = append(s.Links, linkOf(l))
	}
	slices.SortFunc(s.Links, func(a, b Link) int { return a.Index - b.Index })
	if err := s.readAddresses(); err != nil {
		return nil, fmt.Errorf("reading the addresses of the host: %w", err)
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		found, err := stable(func() ([]DefaultRoute, error) { return readDefaults(f, links) })
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
			return nil, fmt.Errorf("reading the routes of the host: %w", err)
		}
		s.Defaults = append(s.Defaults, found...)
	}
	return s, nil
}

// stable reads a list again that changed while it was read: it could be incomplete.
func stable[T any](read func() ([]T, error)) (out []T, err error) {
	for range attempts {
		if out, err = read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return out, err
		}
		time.Sleep(attemptPause)
	}
	return nil, fmt.Errorf("they change all the time: %w", err)
}

func linkOf(l netlink.Link) Link {
	a := l.Attrs()
	out := Link{
		Index: a.Index, Name: a.Name, Alternatives: a.AltNames, Kind: l.Type(), Controller: a.MasterIndex,
		Loopback: a.Flags&net.FlagLoopback != 0,
	}
	switch one := l.(type) {
	case *netlink.Vxlan:
		out.Lower = one.VtepDevIndex
	case *netlink.Vlan, *netlink.Macvlan, *netlink.Macvtap, *netlink.IPVlan, *netlink.IPVtap:
		// The index is that of another namespace if the link has the number of one.
		if a.NetNsID < 0 {
			out.Lower = a.ParentIndex
		}
	}
	return out
}

func (s *State) readAddresses() error {
	list, err := stable(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return err
	}
	for _, a := range list {
		l := s.Link(a.LinkIndex)
		p, ok := prefixOf(a.IPNet)
		switch {
		case !ok || l == nil:
		case a.Scope == unix.RT_SCOPE_UNIVERSE:
			l.Addresses = append(l.Addresses, p)
		case p.Addr().Is6() && p.Addr().IsLinkLocalUnicast():
			l.LinkLocal = p.Addr()
		}
	}
	return nil
}

// prefixOf keeps the bits of the address below its mask.
func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr, bits), ok
}

// readDefaults reads the default routes of a family.
func readDefaults(f ir.Family, links []netlink.Link) ([]DefaultRoute, error) {
	family := netlink.FAMILY_V4
	if f == ir.IPv6 {
		family = netlink.FAMILY_V6
	}
	tables, err := tablesInUse(family, links)
	if err != nil {
		return nil, err
	}
	var out []DefaultRoute
	add := func(index int) {
		if r := (DefaultRoute{f, index}); !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	// One by one: a router can have a million routes.
	err = netlink.RouteListFilteredIter(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
		if to, ok := prefixOf(r.Dst); ok && !isDefault(to) || r.Type != unix.RTN_UNICAST || !tables[r.Table] {
			return true
		}
		if r.LinkIndex != 0 || len(r.MultiPath) == 0 {
			add(r.LinkIndex)
		}
		for _, hop := range r.MultiPath {
			add(hop.LinkIndex)
		}
		return true
	})
	return out, err
}

// tablesInUse are the routing tables that rules of a family lead to, and those of VRFs, whose rule
// does not have the number. A kernel without routing rules has the table main.
func tablesInUse(family int, links []netlink.Link) (map[int]bool, error) {
	out := map[int]bool{unix.RT_TABLE_MAIN: true}
	for _, l := range links {
		if vrf, ok := l.(*netlink.Vrf); ok {
			out[int(vrf.Table)] = true
		}
	}
	rules, err := stable(func() ([]netlink.Rule, error) { return netlink.RuleList(family) })
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, err
	}
	for _, r := range rules {
		if r.Table > 0 {
			out[r.Table] = true
		}
	}
	return out, nil
}
