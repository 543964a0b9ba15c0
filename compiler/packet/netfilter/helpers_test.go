package netfilter

import (
	"net/netip"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"pgregory.net/rapid"
)

func cidrs(texts ...string) *packet.AddrSet {
	var ps []netip.Prefix
	for _, t := range texts {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return packet.NewAddrSet("", ps)
}

func space(t rapid.TB, ps ...*packet.Program) *packet.Space {
	s, err := packet.New(ps...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func joined(cs []packet.Cond, by string) string {
	words := make([]string, 0, len(cs))
	for _, c := range cs {
		words = append(words, c.String())
	}
	return strings.Join(words, by)
}

// The generators draw from few values near each other, so that packets fall on the
// boundaries of entries.

var genFamily = rapid.SampledFrom([]ir.Family{ir.IPv4, ir.IPv6})

func genAddr(t *rapid.T, v6 bool) netip.Addr {
	high, low := byte(rapid.IntRange(0, 1).Draw(t, "high")), byte(rapid.IntRange(0, 9).Draw(t, "low"))
	odd := rapid.IntRange(0, 9).Draw(t, "odd") == 0
	switch {
	case v6 && odd:
		return netip.MustParseAddr(rapid.SampledFrom([]string{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00::2"}).Draw(t, "v6"))
	case v6:
		b := netip.MustParseAddr("2001:db8::").As16()
		b[4], b[15] = high, low
		return netip.AddrFrom16(b)
	case odd:
		return netip.MustParseAddr(rapid.SampledFrom([]string{"0.0.0.0", "255.255.255.255", "172.17.0.2"}).Draw(t, "v4"))
	}
	return netip.AddrFrom4([4]byte{10, 0, high, low})
}

func genPort(t *rapid.T) uint16 {
	return rapid.SampledFrom([]uint16{0, 1, 22, 79, 80, 81, 443, 8080, 40000, 65535}).Draw(t, "port")
}

func genInterface(t *rapid.T) string {
	return rapid.SampledFrom([]string{"eth0", "eth1", "eth", "eth00", "docker0", "br-1", "br-22", "x", "wlan3"}).Draw(t, "interface")
}

func genPacket(t *rapid.T, f ir.Family) packet.Packet {
	v6 := f == ir.IPv6
	p := packet.Packet{
		Family: f, In: genInterface(t), Out: genInterface(t), Source: genAddr(t, v6), Destination: genAddr(t, v6),
		Protocol:   rapid.SampledFrom([]uint8{0, 1, 6, 6, 6, 17, 47, 58, 132, 255}).Draw(t, "protocol"),
		SourcePort: genPort(t), DestinationPort: genPort(t), State: ir.CTNew,
		ICMPType: rapid.SampledFrom([]uint8{0, 3, 8, 128, 255}).Draw(t, "type"),
		ICMPCode: rapid.SampledFrom([]uint8{0, 4, 255}).Draw(t, "code"),
	}
	p.Complete()
	return p
}
