package facts

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// compiled is a policy with attributes of the host block and further blocks.
func compiled(t *testing.T, host, blocks string) *snapshot.Host {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte("host {\n"+host+"\n}\n"+blocks+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fleet, diags, err := snapshot.Open(path, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return fleet.Hosts[0]
}

// A hostOf is written as a line for each interface: its name, the kind, and words such as in=br0,
// on=eth0, alt=enp0s3, 192.0.2.1/24, default (the IPv4 route), default6.
func hostOf(t *testing.T, lines string) *snapshot.Host {
	t.Helper()
	s := &network.State{Links: []network.Link{{Index: 1, Name: "lo", Kind: "device", Loopback: true}}}
	rows := strings.Split(strings.TrimSpace(lines), "\n")
	for i, row := range rows {
		words := strings.Fields(row)
		s.Links = append(s.Links, network.Link{Index: i + 2, Name: words[0], Kind: words[1]})
	}
	index := func(name string) int {
		l := s.Named(name)
		if l == nil {
			t.Fatalf("no interface %s", name)
		}
		return l.Index
	}
	for i, row := range rows {
		l := &s.Links[i+1]
		for _, word := range strings.Fields(row)[2:] {
			key, value, _ := strings.Cut(word, "=")
			switch key {
			case "in":
				l.Controller = index(value)
			case "on":
				l.Lower = index(value)
			case "alt":
				l.Alternatives = append(l.Alternatives, value)
			case "default":
				s.Defaults = append(s.Defaults, network.DefaultRoute{Family: ir.IPv4, Link: l.Index})
			case "default6":
				s.Defaults = append(s.Defaults, network.DefaultRoute{Family: ir.IPv6, Link: l.Index})
			default:
				if p := netip.MustParsePrefix(word); p.Addr().IsLinkLocalUnicast() {
					l.LinkLocal = p.Addr()
				} else {
					l.Addresses = append(l.Addresses, p)
				}
			}
		}
	}
	return &snapshot.Host{Name: snapshot.LiveName, Kind: snapshot.Live, Network: s}
}

const docker0 = "docker0 bridge 172.17.0.1/16\nveth1 veth in=docker0\n"

// Uplinks as hosts have them, with the name that iptables sees, as measured: each is refused if the
// policy lists another name, with the right one offered, and accepted with the right one.
var setups = []struct {
	name, host string
	// right is what a policy has to list; wrong is what people write.
	right, wrong string
	// want are the beginnings of the faults with wrong.
	want []string
}{
	{
		"one interface", "eth0 device 192.0.2.1/24 default default6", "eth0", "ens3",
		[]string{"error: this host has no interface ens3, which external_interfaces lists, so nothing is filtered there. The default route is on eth0", "warning: eth0 has the IPv4 and IPv6 default route, and external_interfaces does not list eth0"},
	},
	{
		"a typing error", "eth0 device 192.0.2.1/24 default", "eth0", "etho",
		[]string{"error: this host has no interface etho, which external_interfaces lists, so nothing is filtered there. Did you mean eth0? The default route is on eth0", "warning: eth0 has"},
	},
	{
		"another case", "eth0 device 192.0.2.1/24 default", "eth0", "Eth0",
		[]string{"error: this host has no interface Eth0, which external_interfaces lists, so nothing is filtered there. Did you mean eth0?", "warning: eth0 has"},
	},
	{
		"an altname", "eth0 device alt=enp0s3 192.0.2.1/24 default", "eth0", "enp0s3",
		[]string{"error: this host has no interface enp0s3, which external_interfaces lists, so nothing is filtered there. It is an altname, which iptables does not know. Write eth0", "warning: eth0 has"},
	},
	{
		"an altname of a port of a bridge", "br0 bridge 192.0.2.1/24 default\neth0 device in=br0 alt=enp0s3", "br0", "enp0s3",
		[]string{"error: this host has no interface enp0s3, which external_interfaces lists, so nothing is filtered there. It is an altname, which iptables does not know. Write br0", "warning: br0 has"},
	},
	{
		"a VLAN", "eth0 device\neth0.10 vlan on=eth0 192.0.2.1/24 default", "eth0.10 eth0", "eth0",
		[]string{"warning: eth0.10 has the IPv4 default route, and external_interfaces does not list eth0.10: published ports are open to everyone who can reach them there. Add it, or list"},
	},
	{
		"a VLAN without its parent", "eth0 device\neth0.10 vlan on=eth0 192.0.2.1/24 default", "eth0.10 eth0", "eth0.10",
		[]string{"warning: packets for the addresses of eth0.10 can arrive on eth0, which carries it, and external_interfaces does not list eth0"},
	},
	{
		"a VLAN in a VLAN on a bond", "bond0 bond\nbond0.7 vlan on=bond0\nbond0.7.8 vlan on=bond0.7 192.0.2.1/24 default\neth0 device in=bond0", "bond+", "bond0.7.8",
		[]string{"warning: packets for the addresses of bond0.7.8 can arrive on bond0.7", "warning: packets for the addresses of bond0.7 can arrive on bond0,"},
	},
	{
		"a bridge", "br0 bridge 192.0.2.1/24 default\neth0 device in=br0", "br0", "eth0",
		[]string{"error: eth0 in external_interfaces never matches: eth0 is a port of the bridge br0, and iptables sees its packets on br0. Write br0", "warning: br0 has the IPv4 default route"},
	},
	{
		"a bridge over a VLAN", "eth0 device\nbr0 bridge 192.0.2.1/24 default\neth0.10 vlan on=eth0 in=br0", "br0", "eth0.10",
		[]string{"error: eth0.10 in external_interfaces never matches: eth0.10 is a port of the bridge br0, and iptables sees its packets on br0. Write br0", "warning: br0 has the IPv4 default route"},
	},
	{
		"a bridge without ports and the default route", "br0 bridge 192.0.2.1/24 default\neth0 veth in=br0", "br0", "eth1",
		[]string{"error: this host has no interface eth1, which external_interfaces lists, so nothing is filtered there. The default route is on br0", "warning: br0 has the IPv4 default route"},
	},
	{
		"a name like that of a bridge of Docker", "eth0 device 192.0.2.1/24 default", "eth0", "docker1",
		[]string{"error: this host has no interface docker1, which external_interfaces lists, so nothing is filtered there. The default route is on eth0", "warning: eth0 has"},
	},
	{
		"a bond", "bond0 bond 192.0.2.1/24 default\neth0 device in=bond0\neth1 device in=bond0", "bond0", "eth0",
		[]string{"error: eth0 in external_interfaces never matches: eth0 is part of bond0, and iptables sees its packets on bond0. Write bond0", "warning: bond0 has the IPv4 default route"},
	},
	{
		"a bridge over a bond", "br0 bridge 192.0.2.1/24 default\nbond0 bond in=br0\neth0 device in=bond0", "br0", "eth0",
		[]string{"error: eth0 in external_interfaces never matches: eth0 is part of bond0, and iptables sees its packets on br0. Write br0", "warning: br0 has the IPv4 default route"},
	},
	{
		"a virtual function of a cloud", "eth0 device 192.0.2.1/24 default\nenP1s1 device in=eth0", "eth0", "enP1s1",
		[]string{"error: enP1s1 in external_interfaces never matches: enP1s1 is part of eth0, and iptables sees its packets on eth0. Write eth0", "warning: eth0 has"},
	},
	{
		"a VRF", "vrf0 vrf\neth0 device in=vrf0 192.0.2.1/24 default", "vrf0", "eth0",
		[]string{"error: eth0 in external_interfaces never matches: eth0 is in the VRF vrf0, and iptables sees its forwarded packets on vrf0. Write vrf0", "warning: eth0 has the IPv4 default route and is part of vrf0, and external_interfaces does not list vrf0"},
	},
	{
		"a MACVLAN", "eth0 device\nmv0 macvlan on=eth0 192.0.2.1/24 default", "mv0 eth0", "eth0",
		[]string{"warning: mv0 has the IPv4 default route"},
	},
	{
		"an IPVLAN", "eth0 device\nipv0 ipvlan on=eth0 192.0.2.1/24 default", "ipv0 eth0", "ipv0",
		[]string{"warning: packets for the addresses of ipv0 can arrive on eth0, which carries it, and external_interfaces does not list eth0"},
	},
	{
		"an IPVLAN by its parent", "eth0 device\nipv0 ipvlan on=eth0 192.0.2.1/24 default", "ipv0 eth0", "eth0",
		[]string{"warning: ipv0 has the IPv4 default route"},
	},
	{
		"a VXLAN", "eth0 device 192.0.2.1/24 default\nvx0 vxlan on=eth0 10.5.0.1/24", "eth0 vx0", "eth0",
		[]string{"warning: vx0 has the address 10.5.0.1/24, and external_interfaces does not list vx0"},
	},
	{
		"WireGuard", "eth0 device 192.0.2.1/24 default\nwg0 wireguard 10.8.0.1/24", "eth0 wg0", "eth0",
		[]string{"warning: wg0 has the address 10.8.0.1/24"},
	},
	{
		"WireGuard with the default route", "eth0 device 192.0.2.1/24 default\nwg0 wireguard default default6", "eth0 wg+", "eth0",
		[]string{"warning: wg0 has the IPv4 and IPv6 default route"},
	},
	{
		"Tailscale", "eth0 device 192.0.2.1/24 default\ntailscale0 tuntap 100.64.0.1/32 fd7a:115c:a1e0::1/128", "eth0 tailscale0", "eth0",
		[]string{"warning: tailscale0 has the address 100.64.0.1/32"},
	},
	{
		"PPPoE", "eth0 device\nppp0 ppp 192.0.2.1/32 default", "ppp0", "eth0",
		[]string{"warning: ppp0 has the IPv4 default route"},
	},
	{
		"two uplinks", "eth0 device 192.0.2.1/24 default\neth1 device 198.51.100.1/24 default6", "eth0 eth1", "eth0",
		[]string{"warning: eth1 has the IPv6 default route"},
	},
	{
		"a pattern without an interface", "eth0 device 192.0.2.1/24 default", "eth+", "ens+",
		[]string{"error: no interface of this host matches ens+ in external_interfaces, so nothing is filtered there. The default route is on eth0", "warning: eth0 has"},
	},
	{
		"a pattern that matches ports of a bridge only", "br0 bridge 192.0.2.1/24 default\neth0 device in=br0", "br+", "eth+",
		[]string{"error: eth+ in external_interfaces matches no interface on which iptables sees packets: eth0 is a port of the bridge br0", "warning: br0 has"},
	},
	{
		"Open vSwitch", "ovs-system openvswitch\nbr-ex openvswitch 192.0.2.1/24 default\neth0 device in=ovs-system", "br-ex", "eth0",
		[]string{"error: eth0 in external_interfaces never matches: eth0 is a port of Open vSwitch. Write the internal port that has the address. The default route is on br-ex", "warning: br-ex has"},
	},
	{
		"a bridge with a name like those of Docker", "br-lan bridge 192.0.2.1/24 default\neth0 device in=br-lan", "br-lan", "eth0",
		[]string{"error: eth0 in external_interfaces never matches: eth0 is a port of the bridge br-lan", "warning: br-lan has"},
	},
	{
		"a VPN in bridge mode", "eth0 device 192.0.2.1/24 default\nbr0 bridge 10.8.0.1/24\ntap0 tuntap in=br0", "eth0 br0", "eth0",
		[]string{"warning: br0 has the address 10.8.0.1/24"},
	},
	{
		"an uplink with a link-local address only", "eth0 device 192.0.2.1/24 default\neth1 device fe80::1/64", "eth0 eth1", "eth0",
		[]string{"warning: eth1 has the link-local address fe80::1, and external_interfaces does not list eth1"},
	},
	{
		"a bridge over a port with a link-local address", "eth0 device 192.0.2.1/24 default\nbr0 bridge\neth1 device in=br0 fe80::1/64", "eth0 br0", "eth0",
		[]string{"warning: eth1 has the link-local address fe80::1 and is part of br0, and external_interfaces does not list br0"},
	},
	{
		"no default route", "eth0 device 192.0.2.1/24", "eth0", "ens3",
		[]string{"error: this host has no interface ens3, which external_interfaces lists, so nothing is filtered there. This host has no default route", "warning: eth0 has the address 192.0.2.1/24"},
	},
}

func faultsOf(want, have *snapshot.Host) []string {
	var out []string
	for _, f := range Faults(append(Interfaces(want, have), Uplinks(want, have)...)) {
		out = append(out, fmt.Sprintf("%s: %s", f.Status, f.Text))
	}
	return out
}

// list is external_interfaces in HCL.
func list(attribute, names string) string {
	return attribute + ` = ["` + strings.Join(strings.Fields(names), `", "`) + `"]`
}

func TestEachUplinkIsReportedByTheNameThatIptablesSees(t *testing.T) {
	for _, c := range setups {
		t.Run(c.name, func(t *testing.T) {
			host := hostOf(t, docker0+c.host)
			if got := faultsOf(compiled(t, list("external_interfaces", c.right), ""), host); len(got) > 0 {
				t.Errorf("with %s: %q", c.right, got)
			}
			got := faultsOf(compiled(t, list("external_interfaces", c.wrong), ""), host)
			begins := len(got) == len(c.want)
			for i := range got {
				begins = begins && strings.HasPrefix(got[i], c.want[i])
			}
			if !begins {
				t.Errorf("with %s (-want +got):\n%s", c.wrong, cmp.Diff(c.want, got))
			}
		})
	}
}

// What is inside of the host, or listed as internal, is not an uplink.
func TestOnlyUplinksAreReported(t *testing.T) {
	inner := "eth0 device 192.0.2.1/24 default\n" + docker0 +
		"br-0123456789ab bridge 172.18.0.1/16\nveth2 veth in=br-0123456789ab fe80::2/64\nveth3 veth fe80::3/64\ndocker_gwbridge bridge 172.19.0.1/16\n" +
		"virbr0 bridge 192.168.122.1/24\nens9 device in=docker_gwbridge\nvnet0 tuntap in=virbr0\ndummy0 dummy 203.0.113.9/32\nlan0 device 10.0.0.1/24\ndm-eth0.20 vlan on=eth0"
	for _, c := range []struct {
		internal string
		want     []string
	}{
		{"lan1", []string{"warning: lan0 has the address 10.0.0.1/24, and external_interfaces does not list lan0: published ports are open to everyone who can reach them there. Add it, or list it in internal_interfaces if everyone there may connect"}},
		{"lan0", nil},
		{"lan+", nil},
	} {
		want := compiled(t, `external_interfaces = ["eth0"]`+"\ninternal_interfaces = [\""+c.internal+"\"]", "")
		if d := cmp.Diff(c.want, faultsOf(want, hostOf(t, inner))); d != "" {
			t.Errorf("internal %q (-want +got):\n%s", c.internal, d)
		}
	}
}

// container_interfaces hide a bridge that they list by its name, without the default route, only: a
// wildcard matches the bridge of a LAN, too.
func TestOnlyABridgeThatIsListedByNameIsNoUplink(t *testing.T) {
	const named, wildcard = "br-web br-uplink docker0", "br-+ docker0"
	for _, c := range []struct {
		containers, host string
		fault            bool
	}{
		{named, "eth0 device 192.0.2.1/24 default\nbr-web bridge 172.30.0.1/24\neth9 device in=br-web", false},
		{wildcard, "eth0 device 192.0.2.1/24 default\nbr-web bridge 172.30.0.1/24\nveth1 veth in=br-web", false},
		{wildcard, "eth0 device 192.0.2.1/24 default\nbr-lan bridge 192.168.1.1/24\neth1 device in=br-lan", true},
		{named, "eth0 device 192.0.2.1/24\nbr-uplink bridge 198.51.100.1/24 default\neth1 device in=br-uplink", true},
	} {
		want := compiled(t, list("external_interfaces", "eth0")+"\n"+list("container_interfaces", c.containers), "")
		if got := faultsOf(want, hostOf(t, c.host)); (len(got) > 0) != c.fault {
			t.Errorf("%s: %s: %q", c.containers, c.host, got)
		}
	}
}

// The kernel can report a nexthop object in place of an interface.
func TestADefaultRouteWithoutAnInterfaceIsReported(t *testing.T) {
	want := compiled(t, list("external_interfaces", "eth0"), "")
	host := hostOf(t, "eth0 device 192.0.2.1/24")
	host.Network.Defaults = []network.DefaultRoute{{Family: ir.IPv4}, {Family: ir.IPv6}}
	got := faultsOf(want, host)
	if len(got) != 1 || !strings.Contains(got[0], "the IPv4 and IPv6 default route leads to a nexthop object") {
		t.Errorf("%q", got)
	}
	if got := Interfaces(compiled(t, list("external_interfaces", "ethernet0"), ""), host); len(got) != 1 || !strings.HasSuffix(got[0].Text, "The interface of the default route is not known") {
		t.Errorf("%q", got)
	}
}

// Rules can have interfaces of their own: each list is checked by itself.
func TestInterfacesOfRulesAreChecked(t *testing.T) {
	const blocks = `
deny "scanners" {
  source     = ["203.0.113.0/24"]
  interfaces = ["eth0"]
}
accept "office" {
  protocol        = "tcp"
  published_ports = [443]
  interfaces      = ["wg1"]
  out_interfaces  = ["br-later", "docker0"]
}
egress {
  deny "mail" {
    protocol   = "tcp"
    out_interfaces = ["eth9"]
    destination = ["203.0.113.0/24"]
  }
}
input {
  accept "ssh" {
    protocol   = "tcp"
    ports      = [22]
    interfaces = ["wg2"]
  }
}
`
	want := compiled(t, list("external_interfaces", "br0 wg+ eth9+"), blocks)
	got := faultsOf(want, hostOf(t, "br0 bridge 192.0.2.1/24 default\neth0 device in=br0\nwg0 wireguard 10.8.0.1/24"))
	begin := []string{
		"error: no interface of this host matches eth9+ in external_interfaces",
		`error: eth0 in deny "scanners" never matches: eth0 is a port of the bridge br0`,
		`error: this host has no interface wg1, which accept "office" lists, so nothing is filtered there. Did you mean wg0?`,
		`error: this host has no interface eth9, which deny "mail" lists`,
		`error: this host has no interface wg2, which accept "ssh" lists`,
	}
	for _, b := range begin {
		if !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, b) }) {
			t.Errorf("missing: %s", b)
		}
	}
	if len(got) != len(begin) {
		t.Errorf("got %q", got)
	}
}

// Interfaces of containers come and go with them: in rules for their traffic, too.
func TestInterfacesOfContainersNeedNotExist(t *testing.T) {
	for _, c := range [][2]string{{"", "br-0123456789ab"}, {"\n" + list("container_interfaces", "docker0 br-web lxd+"), "lxd5"}} {
		want := compiled(t, list("external_interfaces", "eth0")+c[0], strings.ReplaceAll(`
deny "scanners" {
  source         = ["203.0.113.0/24"]
  out_interfaces = ["br-later"]
}
egress {
  deny "mail" {
    protocol    = "tcp"
    destination = ["203.0.113.0/24"]
  }
  deny "web" {
    interfaces  = ["docker0", "BRIDGE"]
    destination = ["203.0.113.0/24"]
  }
}`, "BRIDGE", c[1]))
		if got := faultsOf(want, hostOf(t, "eth0 device 192.0.2.1/24 default")); got != nil {
			t.Errorf("%s: %q", c, got)
		}
	}
}

// Rules for traffic that leaves on a misspelt bridge match no packet, and all of Docker's are open.
func TestContainerInterfacesMatchOneWhereDockerHasBridges(t *testing.T) {
	const eth0 = "eth0 device 192.0.2.1/24 default\n"
	for _, c := range []struct{ container, host, want string }{
		{"docker1 br-+", eth0 + docker0, "warning: no interface of this host matches container_interfaces (br-+, docker1), so no traffic to containers is filtered. Docker's bridges are docker0"},
		{"docker0 br-+", eth0 + docker0, ""}, // no network but the default one
		{"docker1", eth0, ""},                // the engine has not run yet
		{"", eth0 + docker0, ""},
	} {
		host := list("external_interfaces", "eth0")
		if c.container != "" {
			host += "\n" + list("container_interfaces", c.container)
		}
		if got := strings.Join(faultsOf(compiled(t, host, ""), hostOf(t, c.host)), "\n"); got != c.want {
			t.Errorf("%q: %q", c.container, got)
		}
	}
}

// What is wrong with an interface is reported once, not for each rule that lists it.
func TestAMissingInterfaceIsReportedOnce(t *testing.T) {
	want := compiled(t, list("external_interfaces", "eth0 eth7"), `
deny "a" { interfaces = ["eth7"] }
deny "b" { interfaces = ["eth7"] }`)
	if got := faultsOf(want, hostOf(t, "eth0 device 192.0.2.1/24 default")); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// A fleet can have one list for hosts with and without a bridge.
func TestAPortOfABridgeMayBeListedBesideTheBridge(t *testing.T) {
	want := compiled(t, list("external_interfaces", "br0 eth0"), "")
	if got := faultsOf(want, hostOf(t, "br0 bridge 192.0.2.1/24 default\neth0 device in=br0")); got != nil {
		t.Error(got)
	}
}

func TestAHostInOrderHasNoFaults(t *testing.T) {
	want := compiled(t, list("external_interfaces", "eth0 wg+"), "")
	got := append(Interfaces(want, hostOf(t, "eth0 device 192.0.2.1/24 default\nwg0 wireguard")), Uplinks(want, hostOf(t, "eth0 device 192.0.2.1/24 default\nwg0 wireguard"))...)
	if d := cmp.Diff([]Fact{
		{InterfacesName, OK, "eth0 and wg+ exist"},
		{UplinksName, OK, "the policy lists all interfaces with a default route or a global address: eth0"},
	}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// What is open on purpose is said also where nothing is wrong: a wildcard can hide more than was meant.
func TestInterfacesThatAreOpenOnPurposeAreListed(t *testing.T) {
	want := compiled(t, list("external_interfaces", "eth0")+"\n"+list("internal_interfaces", "eth1+"), "")
	const all = "the policy lists all interfaces with a default route or a global address: "
	for host, text := range map[string]string{
		"eth0 device 192.0.2.1/24 default\neth1 device 10.0.0.1/24": all + "eth0, and as internal eth1, so that published ports are open to everyone there",
		"eth0 device\neth1 device 10.0.0.1/24 default":              all + "eth1, as internal only, so that published ports are open to everyone there",
	} {
		if d := cmp.Diff([]Fact{{UplinksName, OK, text}}, Uplinks(want, hostOf(t, host))); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	}
}

// A host whose network was not read is never reported as in order.
func TestAnUnreadNetworkIsUnknown(t *testing.T) {
	want := compiled(t, list("external_interfaces", "eth0 eth1"), "")
	have := &snapshot.Host{Name: "ssh://web1", Kind: snapshot.Live, NetworkUnread: "the interfaces of another host are not read"}
	got := append(Interfaces(want, have), Uplinks(want, have)...)
	if d := cmp.Diff([]Fact{{InterfacesName, Note, "the interfaces of another host are not read: check there that eth0 and eth1 exist, and that the default routes are on them"}}, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := append(Interfaces(want, &snapshot.Host{Kind: snapshot.Saved}), Uplinks(want, &snapshot.Host{Kind: snapshot.Saved})...); len(got) > 0 {
		t.Error("saved rules:", got)
	}
}

func TestAnInterfaceOfAQuestionIsChecked(t *testing.T) {
	host := hostOf(t, "br0 bridge 192.0.2.1/24 default\neth0 device in=br0 alt=enp0s3")
	for name, want := range map[string]string{
		"": "", "br0": "", "lo": "",
		"eth0":   "eth0 is a port of the bridge br0, and iptables sees its packets on br0. Write br0",
		"enp0s3": "this host has no interface enp0s3. It is an altname, which iptables does not know. Write br0",
		"br1":    "this host has no interface br1. Did you mean br0? The default route is on br0",
	} {
		got := ""
		for _, f := range Named(host, name) {
			got += f.Text
		}
		if got != want {
			t.Errorf("%q: %q", name, got)
		}
	}
}

func TestMayComeLater(t *testing.T) {
	host := hostOf(t, "br0 bridge 192.0.2.1/24 default\neth0 device in=br0 alt=enp0s3")
	for names, want := range map[string]bool{"br0": false, "eth0": false, "enp0s3": false, "eth+": false, "wg0": true, "eth0 wg+": true} {
		if got := MayComeLater(compiled(t, list("external_interfaces", names), ""), host); got != want {
			t.Errorf("%s: %t", names, got)
		}
	}
	if !MayComeLater(compiled(t, list("external_interfaces", "eth0"), ""), &snapshot.Host{Kind: snapshot.Live}) {
		t.Error("of a host whose interfaces are not known, one may come later")
	}
}

// A host that filters on a missing interface already is not less closed with the same rules again.
func TestRulesInForceShowWhetherAMissingInterfaceIsFiltered(t *testing.T) {
	policy := func(names string) *snapshot.Host {
		return compiled(t, `external_interfaces = [`+names+`]`, "default { allow = [] }")
	}
	want := policy(`"eth0", "wg0"`)
	for name, c := range map[string]struct {
		loaded *snapshot.Host
		links  string
		want   bool
	}{
		"no rules":                      {nil, "eth0 device", false},
		"no rules, nothing missing":     {nil, "eth0 device\nwg0 wireguard", true},
		"the same rules":                {want, "eth0 device", true},
		"rules for the other interface": {policy(`"eth0"`), "eth0 device", false},
		"rules for all interfaces":      {policy(`"wg+"`), "eth0 device", false},
	} {
		have := hostOf(t, c.links)
		if c.loaded != nil {
			have.Rules = c.loaded.Rules
		}
		if got := FilteredOnMissing(want, have); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	unknown := &snapshot.Host{Name: snapshot.LiveName, Kind: snapshot.Live, Rules: want.Rules}
	if !FilteredOnMissing(want, unknown) {
		t.Error("the network was not read, and all interfaces are in the rules")
	}
	delete(unknown.Rules, ir.IPv6)
	if FilteredOnMissing(policy(`"eth0", "wg0"`), unknown) {
		t.Error("no IPv6 rules are in force")
	}
}
