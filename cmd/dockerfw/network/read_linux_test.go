package network

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
)

func TestLinksHaveTheInterfaceThatTheyAreOn(t *testing.T) {
	base := func(parent, namespace int) netlink.LinkAttrs {
		return netlink.LinkAttrs{Index: 5, Name: "x", ParentIndex: parent, NetNsID: namespace, MasterIndex: 7, AltNames: []string{"y"}}
	}
	for _, c := range []struct {
		link  netlink.Link
		kind  string
		lower int
	}{
		{&netlink.Device{LinkAttrs: base(3, -1)}, "device", 0},
		{&netlink.Vlan{LinkAttrs: base(3, -1)}, "vlan", 3},
		{&netlink.Vlan{LinkAttrs: base(3, 0)}, "vlan", 0}, // the parent is in another namespace
		{&netlink.Macvlan{LinkAttrs: base(3, -1)}, "macvlan", 3},
		{&netlink.Macvtap{Macvlan: netlink.Macvlan{LinkAttrs: base(3, -1)}}, "macvtap", 3},
		{&netlink.IPVlan{LinkAttrs: base(3, -1)}, "ipvlan", 3},
		{&netlink.Veth{LinkAttrs: base(3, -1)}, "veth", 0}, // 3 is the other end
		{&netlink.Vxlan{LinkAttrs: base(0, -1), VtepDevIndex: 3}, "vxlan", 3},
		{&netlink.GenericLink{LinkAttrs: base(0, -1), LinkType: "openvswitch"}, "openvswitch", 0},
	} {
		want := Link{Index: 5, Name: "x", Alternatives: []string{"y"}, Kind: c.kind, Controller: 7, Lower: c.lower}
		if d := cmp.Diff(want, linkOf(c.link), cmpopts.EquateComparable(netip.Addr{})); d != "" {
			t.Errorf("%T (-want +got):\n%s", c.link, d)
		}
	}
	if !linkOf(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Flags: net.FlagLoopback | net.FlagUp}}).Loopback {
		t.Error("the loopback is not one")
	}
}

func TestRoutesToMuchOfTheInternetAreDefaultRoutes(t *testing.T) {
	for to, want := range map[string]bool{
		"0.0.0.0/0": true, "0.0.0.0/1": true, "128.0.0.0/1": true, "10.0.0.0/8": false, "0.0.0.0/2": false,
		"::/0": true, "2000::/3": true, "8000::/1": true, "fd00::/8": false, "2000::/4": false,
	} {
		if got := isDefault(netip.MustParsePrefix(to)); got != want {
			t.Errorf("%s: %v", to, got)
		}
	}
}

// The tests may run where there is nothing but the loopback.
func TestTheLoopbackOfThisHostIsRead(t *testing.T) {
	s, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	lo := s.Named("lo")
	if lo == nil || !lo.Loopback || s.Link(lo.Index) != lo || s.Named("no-such-link") != nil || s.Link(0) != nil {
		t.Errorf("%+v", s.Links)
	}
}
