//go:build linux

package e2e

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/golden/lab"
)

// ip runs commands of ip on a host. It skips the test if this kernel lacks a kind of device.
func ip(t *testing.T, ns *lab.Namespace, commands ...string) {
	t.Helper()
	for _, c := range commands {
		_, stderr, err := ns.Run(append([]string{"ip"}, strings.Fields(c)...)...)
		if err != nil && (strings.Contains(stderr, "Unknown device type") || strings.Contains(stderr, "Operation not supported")) {
			t.Skipf("this kernel cannot: ip %s", c)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// move moves the addresses of the lab's host from eth0 to another device.
func move(to string) []string {
	return []string{
		"address flush dev eth0", "link set " + to + " up",
		"address add 198.51.100.1/24 dev " + to, "address add 2001:db8:1::1/64 dev " + to + " nodad",
	}
}

// uplinkSetups are hosts whose traffic from outside arrives under another name than people write.
var uplinkSetups = []struct {
	name string
	// host and client are commands of ip, and seen is the address of the host for the client, if it
	// is another one than before.
	host, client []string
	seen         string
	// at is the device whose link-layer address the clients use; "" for what they find out. The
	// interface below a MACVLAN answers for its addresses, too.
	at string
	// wrong is what a policy lists, and refused is why apply refuses it; warned is what is warned of.
	wrong, refused, warned string
	// right are the interfaces to list.
	right string
}{
	{
		name: "altname", host: []string{"link property add dev eth0 altname enp0s3"},
		wrong: "enp0s3", refused: "this host has no interface enp0s3, which external_interfaces lists, so nothing is filtered there. It is an altname, which iptables does not know. Write eth0",
		warned: "eth0 has the address 198.51.100.1/24, and external_interfaces does not list eth0", right: "eth0",
	},
	{
		name: "typing error", host: []string{"route add default via 198.51.100.2"},
		wrong: "etho", refused: "this host has no interface etho, which external_interfaces lists, so nothing is filtered there. Did you mean eth0? The default route is on eth0",
		warned: "eth0 has the IPv4 default route, and external_interfaces does not list eth0", right: "eth0",
	},
	{
		name: "bridge", host: append([]string{"link add br0 type bridge", "link set eth0 master br0"}, move("br0")...),
		wrong: "eth0", refused: "eth0 in external_interfaces never matches: eth0 is a port of the bridge br0, and iptables sees its packets on br0. Write br0",
		// The cable of the lab is a veth, and all that is behind such a bridge is inside of a host,
		// unless the default route is on it.
		warned: "", right: "br0",
	},
	{
		name: "bridge with the default route", host: append(append([]string{"link add br0 type bridge", "link set eth0 master br0"}, move("br0")...), "route add default via 198.51.100.2"),
		wrong: "eth0", refused: "never matches: eth0 is a port of the bridge br0",
		warned: "br0 has the IPv4 default route, and external_interfaces does not list br0", right: "br0",
	},
	{
		name: "macvlan", host: append([]string{"link add link eth0 name mv0 type macvlan mode bridge"}, move("mv0")...),
		at: "mv0", wrong: "eth0", warned: "mv0 has the address 198.51.100.1/24, and external_interfaces does not list mv0", right: "mv0 eth0",
	},
	{
		name: "vxlan", host: []string{"link add vx0 type vxlan id 5 dev eth0 dstport 4789 remote 198.51.100.3", "address add 10.5.0.1/24 dev vx0", "link set vx0 up"},
		client: []string{"link add vx0 type vxlan id 5 dev eth0 dstport 4789 remote 198.51.100.1", "address add 10.5.0.3/24 dev vx0", "link set vx0 up"},
		seen:   "10.5.0.1", wrong: "eth0", warned: "vx0 has the address 10.5.0.1/24, and external_interfaces does not list vx0", right: "eth0 vx0",
	},
	{
		name: "vlan", host: append([]string{"link add link eth0 name eth0.10 type vlan id 10"}, move("eth0.10")...),
		client: []string{"link add link eth0 name eth0.10 type vlan id 10", "address flush dev eth0", "link set eth0.10 up", "address add 198.51.100.3/24 dev eth0.10"},
		wrong:  "eth0", warned: "eth0.10 has the address 198.51.100.1/24, and external_interfaces does not list eth0.10", right: "eth0.10 eth0",
	},
	{
		name: "bond", host: append([]string{"link add bond0 type bond mode active-backup", "link set eth0 down", "link set eth0 master bond0"}, move("bond0")...),
		wrong: "eth0", refused: "eth0 in external_interfaces never matches: eth0 is part of bond0, and iptables sees its packets on bond0. Write bond0",
		warned: "bond0 has the address 198.51.100.1/24", right: "bond0",
	},
	{
		name: "ipvlan", host: append([]string{"link add link eth0 name ipv0 type ipvlan mode l2"}, move("ipv0")...),
		wrong: "eth0", warned: "ipv0 has the address 198.51.100.1/24, and external_interfaces does not list ipv0", right: "ipv0 eth0",
	},
}

func externalInterfaces(names string) string {
	return `host { external_interfaces = ["eth1", "` + strings.Join(strings.Fields(names), `", "`) + `"] }
ipset "allowed" { entries = ["198.51.100.2", "2001:db8:1::2"] }
default { allow = [ipset.allowed] }
`
}

// requireSameNetworkByIP reads the network of a host from what ip prints, as through ssh, and from the
// kernel.
func requireSameNetworkByIP(t *testing.T, ns *lab.Namespace) {
	t.Helper()
	read := func() (state *network.State) {
		if err := ns.Within(func() (err error) { state, err = network.Read(); return err }); err != nil {
			t.Fatal(err)
		}
		return state
	}
	same := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.SortSlices(func(a, b network.DefaultRoute) bool {
		return a.Family < b.Family || a.Family == b.Family && a.Link < b.Link
	})}
	// The kernel may still add link-local addresses to new devices: what ip prints is compared with what was there
	// before and after it.
	var byIP, byKernel *network.State
	eventually(t, "the network does not change while ip reads it", func() (unchanged bool) {
		byKernel = read()
		var err error
		byIP, err = network.FromIP(func(command string) ([]byte, error) {
			stdout, stderr, err := ns.Run(append([]string{"ip"}, strings.Fields(command)...)...)
			if err != nil {
				err = errors.New(stderr)
			}
			return []byte(stdout), err
		})
		if err != nil {
			t.Fatal(err)
		}
		return cmp.Equal(byKernel, read(), same)
	})
	if len(byIP.Links) < 2 {
		t.Fatalf("only %d interfaces were read", len(byIP.Links))
	}
	if d := cmp.Diff(byKernel, byIP, same); d != "" {
		t.Errorf("the network by the kernel (-) and by ip (+):\n%s", d)
	}
}

// A policy with the wrong name is refused, or warned of where the name may be right for other packets,
// and filters nothing; one with the right name does.
func TestUplinksNeedTheNameThatIptablesSees(t *testing.T) {
	t.Parallel()
	for _, c := range uplinkSetups {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newPublishing(t, lab.NFT)
			ip(t, s.Host.Namespace, c.host...)
			ip(t, s.Other.Namespace, c.client...)
			requireSameNetworkByIP(t, s.Host.Namespace)
			// The address may be on a device with another link-layer address now.
			for _, client := range []*lab.Node{s.Allowed, s.Other} {
				ip(t, client.Namespace, "neighbor flush all")
				if c.at != "" {
					pin(t, s, client, c.at)
				}
			}
			to := s.Host.At(8080)
			if c.seen != "" {
				to = c.seen + ":8080"
			}
			other := func(when string, want bool) {
				t.Helper()
				if got := s.Other.Connect("tcp", to); (got == lab.Answered) != want {
					t.Errorf("%s: %s", when, got)
				}
			}
			other("without rules", true)

			p := compileFolder(t, "wrong", externalInterfaces(c.wrong))
			flags, why := []string(nil), "ok    interfaces"
			warnings := []string{"loaded "}
			if c.refused != "" {
				s.host.refuses(p, 1, nil, c.refused, "change the policy and compile it again", "nothing was changed")
				s.host.refuses(p, 1, []string{"--dry-run"}, c.refused)
				flags, why = []string{"--allow-missing-interface"}, "FAIL  interfaces    "
				warnings = append(warnings, "warning: ", c.refused)
			}
			if c.warned != "" {
				warnings = append(warnings, "warning: "+c.warned)
			}
			s.host.succeeds(p, flags, warnings...)
			other("with the wrong name", true)
			s.host.expect(s.host.dockerfw("verify", p.dir), 1, why, c.refused, c.warned)
			s.host.expect(s.host.dockerfw("status"), 0, c.refused, c.warned)
			s.host.expect(s.host.dockerfw("explain", "live", "--from", "198.51.100.3", "--to-port", "8080"), 0, warnings[1:]...)
			s.host.expect(s.host.dockerfw("diff", "live", p.dir), 0, warnings[1:]...)

			p = compileFolder(t, "right", externalInterfaces(c.right))
			if got := s.host.apply(p); got.code != 0 || strings.Contains(got.text, "external_interfaces") {
				t.Errorf("with the right name: %d: %s", got.code, got.text)
			}
			other("with the right name", false)
			if c.client == nil {
				if got, _ := s.Allowed.AskFor(lab.LongPatience, "tcp", to); got != lab.Answered {
					t.Errorf("the allowed client: %s", got)
				}
			}
			got := s.host.dockerfw("verify", p.dir)
			s.host.expect(outcome{text: got.text}, 0, "ok    interfaces", "ok    uplinks")
		})
	}
}

// pin makes a client send packets for the host to the link-layer address of a device.
func pin(t *testing.T, s *publishing, client *lab.Node, device string) {
	t.Helper()
	fields := strings.Fields(s.Host.MustRun("ip", "-brief", "link", "show", device))
	ip(t, client.Namespace, "neighbor replace 198.51.100.1 lladdr "+fields[2]+" dev eth0 nud permanent")
}

// The kernel accepts packets for the address of a MACVLAN on the interface that carries it, too: a
// neighbor that sends them there is filtered only if the policy lists both.
func TestTheInterfaceBelowAnUplinkIsOpenToNeighbors(t *testing.T) {
	t.Parallel()
	s := newPublishing(t, lab.NFT)
	ip(t, s.Host.Namespace, append([]string{"link add link eth0 name mv0 type macvlan mode bridge"}, move("mv0")...)...)
	pin(t, s, s.Other, "eth0")
	s.host.succeeds(compileFolder(t, "mv0", externalInterfaces("mv0")), nil, "warning: packets for the addresses of mv0 can arrive on eth0, which carries it, and external_interfaces does not list eth0")
	if got, _ := s.Other.AskFor(lab.LongPatience, "tcp", s.Host.At(8080)); got != lab.Answered {
		t.Errorf("with mv0 only: %s", got)
	}
	s.host.succeeds(compileFolder(t, "both", externalInterfaces("mv0 eth0")), nil, "loaded ")
	if got := s.Other.Connect("tcp", s.Host.At(8080)); got == lab.Answered {
		t.Errorf("with both: %s", got)
	}
}

// In a VRF, FORWARD sees the VRF. Devices without packets here: their names are checked only.
func TestFurtherUplinks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                   string
		host                   []string
		wrong, refused, warned string
		right                  string
	}{
		{
			"vrf",
			[]string{"link add vrf0 type vrf table 10", "link set vrf0 up", "link set eth0 master vrf0", "address add 198.51.100.1/24 dev eth0", "link set eth0 up", "route add default via 198.51.100.2 table 10"},
			"eth0", "eth0 in external_interfaces never matches: eth0 is in the VRF vrf0, and iptables sees its forwarded packets on vrf0. Write vrf0", "eth0 has the IPv4 default route and is part of vrf0", "vrf0",
		},
		{
			"wireguard",
			[]string{"link add wg1 type wireguard", "address add 10.8.0.1/24 dev wg1", "link set wg1 up"},
			"eth0", "", "wg1 has the address 10.8.0.1/24, and external_interfaces does not list wg1", "eth0 wg+",
		},
		{
			"tun, as of a VPN or PPP",
			[]string{"tuntap add dev tun0 mode tun", "address add 100.64.0.1/32 dev tun0", "link set tun0 up"},
			"eth0", "", "tun0 has the address 100.64.0.1/32, and external_interfaces does not list tun0", "eth0 tun0",
		},
		{
			"another routing table",
			[]string{"address add 198.51.100.1/24 dev eth0", "link set eth0 up", "link set wg0 up", "rule add fwmark 7 lookup 100", "route add default dev wg0 table 100"},
			"eth0", "", "wg0 has the IPv4 default route, and external_interfaces does not list wg0", "eth0 wg0",
		},
		{
			"a VPN for both halves",
			[]string{"link set eth0 up", "link set wg0 up", "route add 0.0.0.0/1 dev wg0", "route add 128.0.0.0/1 dev wg0"},
			"eth0", "", "wg0 has the IPv4 default route", "eth0 wg0",
		},
		{
			"two uplinks",
			[]string{"link set eth0 up", "link set wg0 up", "route add default nexthop dev eth0 nexthop dev wg0"},
			"eth0", "", "wg0 has the IPv4 default route", "eth0 wg0",
		},
		{
			"IPv6",
			[]string{"link set eth0 up", "link set wg0 up", "-6 route add default dev wg0"},
			"eth0", "", "wg0 has the IPv6 default route", "eth0 wg0",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newTarget(t, lab.NFT)
			ip(t, h.Namespace, c.host...)
			p := compileFolder(t, "wrong", strings.Replace(externalInterfaces(c.wrong), `"eth1", `, "", 1))
			if c.refused != "" {
				h.refuses(p, 1, nil, c.refused)
			} else {
				h.succeeds(p, nil, "loaded ", "warning: "+c.warned)
			}
			h.expect(h.dockerfw("verify", p.dir), 1, c.refused, c.warned)
			p = compileFolder(t, "right", strings.Replace(externalInterfaces(c.right), `"eth1", `, "", 1))
			if got := h.apply(p); got.code != 0 || strings.Contains(got.text, "warning: ") {
				t.Errorf("with the right name: %d: %s", got.code, got.text)
			}
			h.expect(h.dockerfw("verify", p.dir), 0, "ok    interfaces", "ok    uplinks")
		})
	}
}

// A route in a table that no rule leads to is not used.
func TestAnUnusedRoutingTableIsNoUplink(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	ip(t, h.Namespace, "link set eth0 up", "link set wg0 up", "route add default dev wg0 table 100", "-6 route add unreachable default dev wg0 metric 4278198272")
	p := compileFolder(t, "eth0", strings.Replace(externalInterfaces("eth0"), `"eth1", `, "", 1))
	if got := h.apply(p); got.code != 0 || strings.Contains(got.text, "warning: ") {
		t.Errorf("%d: %s", got.code, got.text)
	}
}

// A kernel can be told to report only the nexthop object of a route, and not the interface of that.
func TestADefaultRouteWhoseInterfaceIsNotReportedIsNoUplinkInOrder(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	ip(t, h.Namespace, "link set eth0 up", "link set wg0 up", "nexthop add id 9 dev wg0", "route add default nhid 9")
	p := compileFolder(t, "eth0", strings.Replace(externalInterfaces("eth0"), `"eth1", `, "", 1))
	h.succeeds(p, nil, "loaded ", "warning: wg0 has the IPv4 default route")
	if _, stderr, err := h.Namespace.Run("sysctl", "-qw", "net.ipv4.nexthop_compat_mode=0"); err != nil {
		t.Skip("this kernel always reports the interface: ", stderr)
	}
	h.expect(h.dockerfw("verify", p.dir), 1, "the IPv4 default route leads to a nexthop object")
}

// A fleet with one misspelled interface is refused on that host alone, with the right name.
func TestAFleetIsRefusedOnlyWhereItsInterfaceIsMissing(t *testing.T) {
	t.Parallel()
	fleet := compileFolder(t, "fleet", `
host "web1" { external_interfaces = ["eth0"] }
host "web2" { external_interfaces = ["eth1"] }
default {}
`)
	for name, refused := range map[string]string{"web1": "", "web2": "this host has no interface eth1, which external_interfaces lists, so nothing is filtered there. Did you mean eth0?"} {
		h := newTarget(t, lab.NFT)
		p := &deployed{name, filepath.Join(fleet.dir, name)}
		if refused == "" {
			h.succeeds(p, nil, "loaded ")
		} else {
			h.refuses(p, 1, nil, refused)
		}
	}
}

// A load of what is in force restores it, whatever has become of the interfaces: to refuse would leave
// the host open.
func TestALoadOfWhatIsInForceIsNotRefused(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	p := compileFolder(t, "a VPN", `host { external_interfaces = ["eth0", "wg+"] }`)
	h.succeeds(p, nil, "loaded ")
	ip(t, h.Namespace, "link set wg0 name later0")
	if err := h.IPTables(lab.NFT, 4, "-F"); err != nil {
		t.Fatal(err)
	}
	h.succeeds(p, nil, "loaded ", "warning: no interface of this host matches wg+ in external_interfaces, so nothing is filtered there.")
	h.requireLoaded(p)
	h.refuses(compileFolder(t, "the next", `host { external_interfaces = ["eth0", "wg+", "lo"] }`), 1, nil, "no interface of this host matches wg+")
	stdout, _, _ := h.Run(h.command("apply", "--format", "json", compileFolder(t, "the next", `host { external_interfaces = ["wg+"] }`).dir)...)
	for _, w := range []string{`"state": "unchanged"`, `"name": "interfaces"`, `"status": "error"`, `"text": "no interface of this host matches wg+`} {
		if !strings.Contains(stdout, w) {
			t.Errorf("%s is missing:\n%s", w, stdout)
		}
	}
}

// Records can be lost, with /run or with the directory of the state: the rules on the host show what
// is in force.
func TestALoadOfWhatIsInForceIsNotRefusedWithoutARecord(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	p := compileFolder(t, "a VPN", `host { external_interfaces = ["eth0", "wg+"] }`)
	h.succeeds(p, nil, "loaded ")
	ip(t, h.Namespace, "link set wg0 name later0")
	lose := func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(h.path("run")), os.RemoveAll(h.path("state"))); err != nil {
			t.Fatal(err)
		}
	}
	const missing = "no interface of this host matches wg+"
	lose()
	h.succeeds(p, nil, "nothing to load: the host already has the rules and sets of ", "no version was recorded as in force; it is recorded now", "warning: "+missing)
	h.succeeds(p, nil, "nothing to do: the folder is already loaded")

	// Of the filter table nothing is left; the fallback rules are.
	lose()
	if err := h.IPTables(lab.NFT, 4, "-F"); err != nil {
		t.Fatal(err)
	}
	h.succeeds(p, nil, "loaded ", "warning: "+missing)
	h.requireLoaded(p)

	// Nothing of it is in force, or another version.
	lose()
	h.refuses(compileFolder(t, "the next", `host { external_interfaces = ["eth0", "wg+", "lo"] }`), 1, nil, missing)
	for _, table := range []string{"filter", "security"} {
		if err := h.IPTables(lab.NFT, 4, "-t", table, "-F"); err != nil {
			t.Fatal(err)
		}
	}
	h.refuses(p, 1, nil, missing)
}

// At boot, interfaces may come later than the rules.
func TestBootLoadsRulesForMissingInterfaces(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	p := compileFolder(t, "later", `host { external_interfaces = ["ppp0", "eth0"] }`)
	h.refuses(p, 1, nil, "this host has no interface ppp0")
	h.expect(h.boot(p), 0, "loaded ", "warning: this host has no interface ppp0, which external_interfaces lists, so nothing is filtered there.")
	h.requireLoaded(p)
}

// Routes in tables that rules lead to count, those of other tables and blackholes do not.
func TestDefaultRoutesAreReadThroughIP(t *testing.T) {
	t.Parallel()
	s := newPublishing(t, lab.NFT)
	ip(
		t, s.Host.Namespace,
		"route add default table 77 nexthop via 198.51.100.2 nexthop via 198.51.100.3", "rule add from 198.51.100.9 table 77",
		"route add 128.0.0.0/1 via 198.51.100.2", "route add blackhole default metric 9", "route add default via 198.51.100.3 table 78",
		"-6 route add default via 2001:db8:1::2 table 79", "-6 rule add from 2001:db8:1::9 table 79", "-6 route add 2000::/3 via 2001:db8:1::3",
		"route add 10.0.0.0/8 via 198.51.100.2",
	)
	requireSameNetworkByIP(t, s.Host.Namespace)
	ip(t, s.Host.Namespace, "rule flush", "-6 rule flush", "rule add table main", "-6 rule add table main")
	requireSameNetworkByIP(t, s.Host.Namespace)
}
