package randomhost

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// NFTTable is the name of the additional nft table of a host.
const NFTTable = "beside"

// NFTFamily returns the family of that table.
func (h *Host) NFTFamily() string {
	if h.Family == ir.IPv6 {
		return "ip6"
	}
	return "ip"
}

// nft draws a table of nft with base chains between those of iptables, as nft -f reads it.
func (d *drawing) nft() {
	if d.one(2) {
		return
	}
	ip := d.host.NFTFamily()
	kind := map[string]string{"ip": "ipv4_addr", "ip6": "ipv6_addr"}[ip]
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s {\n", ip, NFTTable)
	fmt.Fprintf(&b, "set s {\ntype %s\nflags interval\nelements = { %s, %s }\n}\n", kind, d.address(), d.neighbor())
	b.WriteString("chain side {\n")
	for range d.number(3) {
		d.nftRule(&b, ip, "side", false)
	}
	b.WriteString("}\n")
	for _, c := range []struct {
		hook       string
		priorities []string
	}{
		{"prerouting", []string{"-310", "-250", "-120", "-50"}},
		{"forward", []string{"-160", "-10", "10", "60"}},
		{"input", []string{"-160", "-10", "10", "60"}},
	} {
		if d.one(3) {
			continue
		}
		priority := d.pick(c.priorities...)
		fmt.Fprintf(&b, "chain %s {\ntype filter hook %s priority %s; policy %s;\n", c.hook, c.hook, priority, d.pick("accept", "accept", "accept", "accept", "drop"))
		fmt.Fprintf(&b, "%s dscp 0x01 accept comment \"test-only\"\n", ip)
		for range d.number(5) {
			d.nftRule(&b, ip, c.hook, priority == "-310")
		}
		b.WriteString("}\n")
	}
	b.WriteString("}\n")
	d.host.NFT = b.String()
}

// neighbor returns an address that is in no other element of a set.
func (d *drawing) neighbor() string {
	if d.v6() {
		return "2001:db9::1"
	}
	return "203.0.113.9"
}

func (d *drawing) nftRule(b *strings.Builder, ip, chain string, first bool) {
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	not := func() string { return d.pick("", "", "!= ") }
	if d.one(3) {
		add("%s", d.pick(`iifname "eth0"`, `iifname != "eth1"`, `iifname { "eth0", "tun7" }`, `iifname "br-*"`))
	}
	if chain == "forward" && d.one(4) {
		add("%s", d.pick(`oifname "docker0"`, `oifname != "br-*"`))
	}
	if d.one(3) {
		add("%s %s %s%s", ip, d.pick("saddr", "daddr"), not(), d.pick(d.address(), "@s", "{ "+d.address()+", "+d.neighbor()+" }"))
	}
	switch d.number(4) {
	case 0:
		add("%s %s %s%s", d.pick("tcp", "udp"), d.pick("dport", "sport"), not(), d.pick("80", "{ 22, 443 }", "1-1023", "8080"))
	case 1:
		add("meta l4proto %s", d.pick("tcp", "{ tcp, udp }"))
	}
	if d.one(4) {
		add("%s", d.pick("ct state new", "ct state established,related", "ct state invalid", "ct status dnat", "ct direction original"))
	}
	if d.one(6) {
		add("meta mark & 0x3 %s", d.pick("== 0x1", "!= 0x0", "== 0x2"))
	}
	verdicts := []string{"accept", "accept", "drop", "return", "counter", "meta mark set 0x1"}
	if chain != "side" {
		verdicts = append(verdicts, "jump side", "goto side")
	}
	if first {
		verdicts = append(verdicts, "notrack")
	}
	add("%s", d.pick(verdicts...))
	fmt.Fprintln(b, strings.Join(words, " "))
}
