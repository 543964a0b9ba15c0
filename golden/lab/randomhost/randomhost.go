// Package randomhost draws random rules of hosts without dockerfw, for property tests: chains
// with conditional jumps and gotos, returns and marks in every table that a forwarded packet
// passes, and Docker's own chains.
//
// In: a source of random choices, and a family. Out: a [Host], as text that iptables-restore,
// ipset restore and nft load. It does not know policies.
package randomhost

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Host is the rules of one family, as for iptables-restore, and the sets they use.
type Host struct {
	Family ir.Family
	Rules  string
	Sets   string
	// NFT is an additional nft table, as for nft -f; "" for none.
	NFT string
	// Published are the ports that have a DNAT rule in the nat table.
	Published []Published
	// NATByMark is set if rules of the nat table match marks.
	NATByMark bool
}

// Published is a published port: the nat table translates it.
type Published struct {
	Protocol  uint8
	Port      uint16
	Container netip.AddrPort
	Bridge    string
}

// Interfaces are those that packets arrive on and leave on.
var Interfaces = []string{"eth0", "eth1", "docker0", "br-1", "tun7"}

// Addresses returns addresses in the rules, and their neighbors.
func Addresses(f ir.Family) []netip.Addr {
	texts := []string{"192.0.2.1", "192.0.2.2", "192.0.2.130", "198.51.100.7", "172.17.0.2", "172.18.0.3", "10.1.2.3"}
	if f == ir.IPv6 {
		texts = []string{"2001:db8::1", "2001:db8::2", "2001:db8:1::1", "2001:db8:ffff::7", "fd00::2", "fd00:1::3", "2001:db9::1"}
	}
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

// Ports are the ports in the rules.
var Ports = []uint16{22, 53, 80, 443, 8080, 40000}

// Rules of the test: they accept packets that only open a connection, which have this traffic
// class, and the answers of the host itself.
const (
	skip        = "-m tos --tos 0x04/0xff -m comment --comment test-only -j ACCEPT"
	markAnswers = "-m comment --comment test-only -j MARK --set-xmark 0x80000000/0x80000000"
	skipAnswers = "-m mark --mark 0x80000000/0x80000000 -m comment --comment test-only -j ACCEPT"
)

// TestOnly reports whether a line of a saved host is a rule of the test.
func TestOnly(line string) bool { return strings.Contains(line, "test-only") }

// Draw draws a host.
func Draw(t *rapid.T, f ir.Family) *Host {
	h := &Host{Family: f}
	d := &drawing{t: t, host: h}
	d.sets()
	var b strings.Builder
	for _, table := range []struct {
		name   string
		chains []string
	}{
		{"raw", []string{"PREROUTING"}},
		{"mangle", []string{"PREROUTING", "INPUT", "FORWARD", "POSTROUTING"}},
		{"nat", []string{"PREROUTING"}},
		{"filter", []string{"INPUT", "FORWARD"}},
		{"security", []string{"INPUT", "FORWARD"}},
	} {
		if table.name != "filter" && table.name != "nat" && d.one(3) {
			continue
		}
		d.table(&b, table.name, table.chains)
	}
	h.Rules = b.String()
	d.nft()
	return h
}

type drawing struct {
	t    *rapid.T
	host *Host
	made []string // sets with flags that a rule can use
}

func (d *drawing) number(n int) int { return rapid.IntRange(0, n-1).Draw(d.t, "n") }
func (d *drawing) one(of int) bool  { return d.number(of) == 0 }
func (d *drawing) v6() bool         { return d.host.Family == ir.IPv6 }
func (d *drawing) pick(of ...string) string {
	return of[d.number(len(of))]
}

func (d *drawing) table(b *strings.Builder, table string, built []string) {
	fmt.Fprintf(b, "*%s\n", table)
	own := []string{"A", "B", "C"}[:d.number(4)]
	if table == "filter" {
		own = append(own, "DOCKER-USER")
	}
	if table == "nat" {
		own = append(own, "DOCKER")
	}
	policies := []string{"ACCEPT", "ACCEPT", "ACCEPT", "ACCEPT", "ACCEPT", "ACCEPT", "DROP"}
	if table == "nat" {
		policies = policies[:1]
	}
	for _, c := range built {
		fmt.Fprintf(b, ":%s %s [0:0]\n", c, d.pick(policies...))
	}
	for _, c := range own {
		fmt.Fprintf(b, ":%s - [0:0]\n", c)
	}
	for i, c := range own {
		for range d.number(5) {
			d.rule(b, table, c, c, own[i+1:]) // only to later chains, so that there are no loops
		}
	}
	for _, c := range built {
		if table != "nat" {
			fmt.Fprintf(b, "-A %s %s\n", c, skip)
		}
		if c == "POSTROUTING" {
			fmt.Fprintf(b, "-A OUTPUT %s\n-A POSTROUTING %s\n", markAnswers, skipAnswers)
		}
		for range d.number(6) {
			d.rule(b, table, c, c, own)
		}
	}
	if table == "nat" {
		d.publish(b)
	}
	b.WriteString("COMMIT\n")
}

// publish writes DNAT rules as Docker does.
func (d *drawing) publish(b *strings.Builder) {
	for i := range 1 + d.number(3) {
		p := Published{
			Protocol: []uint8{6, 17}[d.number(2)], Port: Ports[d.number(len(Ports))],
			Container: netip.AddrPortFrom(Addresses(d.host.Family)[4+i%2], Ports[d.number(len(Ports))]),
			Bridge:    []string{"docker0", "br-1"}[i%2],
		}
		word := map[uint8]string{6: "tcp", 17: "udp"}[p.Protocol]
		if slices.ContainsFunc(d.host.Published, func(o Published) bool { return o.Protocol == p.Protocol && o.Port == p.Port }) {
			continue
		}
		d.host.Published = append(d.host.Published, p)
		fmt.Fprintf(b, "-A DOCKER ! -i %s -p %s -m %s --dport %d -j DNAT --to-destination %s\n", p.Bridge, word, word, p.Port, p.Container)
	}
	b.WriteString("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n")
}

func (d *drawing) rule(b *strings.Builder, table, hook, chain string, calls []string) {
	protocol := ""
	words := []string{"-A", chain}
	add := func(w ...string) { words = append(words, w...) }
	not := func() {
		if d.one(4) {
			add("!")
		}
	}
	if d.one(3) {
		not()
		add("-s", d.address())
	}
	if d.one(4) {
		not()
		add("-d", d.address())
	}
	if d.one(3) && hook != "POSTROUTING" && hook == chain && table != "mangle" {
		not()
		add("-i", d.pick("eth0", "eth1", "docker0", "br-+", "eth+", "tun+"))
	}
	if d.one(5) && hook == "FORWARD" {
		not()
		add("-o", d.pick("docker0", "br-+", "eth0", "br-1"))
	}
	if d.one(2) {
		protocol = d.pick("tcp", "udp", d.icmp())
		add("-p", protocol)
		ports := protocol == "tcp" || protocol == "udp"
		switch {
		case ports && d.one(2):
			add("-m", protocol)
			not()
			add(d.pick("--dport", "--sport"), d.pick("22", "80", "443", "1:1023", "8080", "40000:65535"))
		case ports && d.one(4):
			add("-m", "multiport")
			not()
			add(d.pick("--dports", "--sports", "--ports"), d.pick("22,80", "53,443,8000:9000", "40000"))
		case !ports && d.one(2):
			if d.v6() {
				add("-m", "icmp6", "--icmpv6-type", "128")
			} else {
				add("-m", "icmp", "--icmp-type", d.pick("8", "8/0", "13"))
			}
		}
	}
	d.conntrack(add, not)
	d.marks(add, not, table)
	if len(d.made) > 0 && d.one(4) {
		add("-m", "set")
		not()
		add("--match-set")
		add(strings.Fields(d.pick(d.made...))...)
	}
	if d.one(8) {
		if d.v6() {
			add("-m", "iprange", "--src-range", "2001:db8::1-2001:db8::5")
		} else {
			add("-m", "iprange", d.pick("--src-range", "--dst-range"), d.pick("192.0.2.2-192.0.2.200", "172.17.0.0-172.17.255.255"))
		}
	}
	d.target(add, table, protocol, calls)
	fmt.Fprintln(b, strings.Join(words, " "))
}

func (d *drawing) icmp() string {
	if d.v6() {
		return "ipv6-icmp"
	}
	return "icmp"
}

func (d *drawing) address() string {
	if d.v6() {
		return d.pick("2001:db8::1", "2001:db8::/64", "2001:db8::/32", "fd00::2", "fd00::/16", "2001:db8:ffff::/48")
	}
	return d.pick("192.0.2.1", "192.0.2.0/24", "192.0.2.128/25", "198.51.100.0/24", "172.17.0.2", "172.16.0.0/12", "10.0.0.0/8")
}

func (d *drawing) conntrack(add func(...string), not func()) {
	if !d.one(4) {
		return
	}
	add("-m", "conntrack")
	if d.one(2) {
		not()
		add("--ctstate", d.pick("NEW", "RELATED,ESTABLISHED", "INVALID", "DNAT", "NEW,DNAT", "UNTRACKED", "INVALID,NEW"))
	}
	if d.one(2) {
		add("--ctdir", d.pick("ORIGINAL", "REPLY"))
	} else {
		add("--ctorigdstport", d.pick("80", "443", "8080:8090"))
	}
}

func (d *drawing) marks(add func(...string), not func(), table string) {
	if !d.one(5) || table == "raw" {
		return
	}
	add("-m", d.pick("mark", "mark", "connmark"))
	not()
	add("--mark", d.pick("0x1/0x1", "0x2/0x3", "0x0/0x1", "0x3", "0x40000/0xff0000"))
	if table == "nat" {
		d.host.NATByMark = true
	}
}

func (d *drawing) target(add func(...string), table, protocol string, calls []string) {
	if len(calls) > 0 && d.one(3) {
		add(d.pick("-j", "-j", "-g"), d.pick(calls...))
		return
	}
	if d.one(4) {
		switch table {
		case "raw":
			add("-j", "CT", "--notrack")
		default:
			switch d.number(5) {
			case 0:
				add("-j", "CONNMARK", "--set-xmark", d.pick("0x1/0x1", "0x3/0xffffffff"))
			case 1:
				add("-j", "CONNMARK", d.pick("--save-mark", "--restore-mark"), "--nfmask", d.pick("0xffffffff", "0x1"), "--ctmask", d.pick("0xffffffff", "0x3"))
			default:
				add("-j", "MARK", "--set-xmark", d.pick("0x1/0x1", "0x2/0x3", "0x0/0xffffffff", "0x40000/0xff0000", "0x3/0x0"))
			}
		}
		return
	}
	targets := []string{"ACCEPT", "ACCEPT", "ACCEPT", "ACCEPT", "DROP", "RETURN", "RETURN", "RETURN"}
	switch table {
	case "nat":
		targets = []string{"ACCEPT", "RETURN", "RETURN"}
	case "filter":
		targets = append(targets, "REJECT", "DROP")
	}
	to := d.pick(targets...)
	add("-j", to)
	if to == "REJECT" && protocol == "tcp" && d.one(2) {
		add("--reject-with", "tcp-reset")
	}
}

// sets draws some sets, with the flags that rules may match them with.
func (d *drawing) sets() {
	family, suffix := "inet", "4"
	entries := []string{"192.0.2.1", "192.0.2.128/25", "172.17.0.2", "10.0.0.0/8"}
	hosts := []string{"192.0.2.1", "198.51.100.7", "172.17.0.2"}
	if d.v6() {
		family, suffix = "inet6", "6"
		entries = []string{"2001:db8::1", "2001:db8::/64", "fd00::2", "2001:db8:ffff::/48"}
		hosts = []string{"2001:db8::1", "2001:db8:1::1", "fd00::2"}
	}
	var b strings.Builder
	set := func(name, kind string, flags []string, elements []string) {
		name += suffix
		fmt.Fprintf(&b, "create %s %s family %s\n", name, kind, family)
		for _, e := range rapid.SliceOfNDistinct(rapid.SampledFrom(elements), 0, 3, rapid.ID).Draw(d.t, "elements") {
			fmt.Fprintf(&b, "add %s %s\n", name, e)
		}
		for _, f := range flags {
			d.made = append(d.made, name+" "+f)
		}
	}
	with := func(base []string, add ...string) []string {
		var out []string
		for i, e := range base {
			out = append(out, e+","+add[i%len(add)])
		}
		return out
	}
	if d.one(2) {
		set("net", "hash:net", []string{"src", "dst"}, append(entries[:len(entries):len(entries)], entries[1]))
	}
	if d.one(2) {
		set("ip", "hash:ip", []string{"src", "dst", "src,dst"}, hosts)
	}
	if d.one(3) {
		set("ipport", "hash:ip,port", []string{"src,dst", "dst,dst", "src,src", "src"}, with(hosts, "tcp:80", "udp:53", "tcp:8080"))
	}
	if d.one(3) {
		set("netport", "hash:net,port", []string{"src,dst", "dst,dst", "src"}, with(entries, "tcp:443", "tcp:80", "udp:8080"))
	}
	if d.one(3) {
		set("netif", "hash:net,iface", []string{"src,src", "dst,src"}, with(entries, "eth0", "docker0", "eth1"))
	}
	d.host.Sets = b.String()
}
