package diff

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

func TestEachKindOfDestinationHasItsSentence(t *testing.T) {
	ports := func(numbers ...uint16) (out []ir.PortRange) {
		for _, n := range numbers {
			out = append(out, ir.PortRange{First: n, Last: n})
		}
		return out
	}
	address := func(prefix string) *packet.Addresses {
		return &packet.Addresses{In: packet.NewAddrSet("", []netip.Prefix{netip.MustParsePrefix(prefix)})}
	}
	tcp := []packet.ProtoRange{{First: 6, Last: 6}}
	web := []Rule{{Name: `accept "web"`}}
	for _, c := range []struct {
		d    Destination
		want string
	}{
		{Destination{}, "anything"},
		{Destination{Address: address("10.0.0.0/8")}, "10.0.0.0/8"},
		{Destination{Target: Published, Ports: ports(80, 443), Protocols: tcp}, "published ports 80, 443/tcp"},
		{Destination{Target: Published, Ports: ports(80), Protocols: tcp, PublishedOn: address("192.0.2.1/32")}, "published port 80/tcp on 192.0.2.1"},
		{Destination{Target: Published, Ports: ports(8080), MappedTo: ports(80), Protocols: tcp}, "published port 8080/tcp mapped to container port 80"},
		{Destination{Target: Published, MappedTo: ports(80), Protocols: tcp}, "published ports mapped to container port 80/tcp"},
		{Destination{Target: Published}, "any published port"},
		{Destination{Target: Container, Ports: []ir.PortRange{{First: 0, Last: 79}, {First: 81, Last: 65535}}, Protocols: tcp}, "any tcp container port except 80"},
		{Destination{Target: Direct}, "container addresses directly (no DNAT)"},
		{Destination{Target: Direct, Ports: ports(80), Protocols: tcp, Address: address("172.18.0.2/32")}, "container port 80/tcp at 172.18.0.2 directly (no DNAT)"},
		{Destination{Target: Direct, Address: address("172.18.0.2/32")}, "172.18.0.2 directly (no DNAT)"},
		{Destination{Target: Proxy, Ports: ports(53), Protocols: []packet.ProtoRange{{First: 6, Last: 6}, {First: 17, Last: 17}}}, "docker-proxy on port 53 over tcp or udp"},
		{Destination{Target: OtherPorts}, "all other ports"},
		{Destination{OnHost: true}, "the host"},
		{Destination{OnHost: true, Address: address("192.0.2.1/32")}, "the host at 192.0.2.1"},
		{Destination{OnHost: true, Target: Proxy, Ports: ports(22), Protocols: tcp}, "port 22/tcp of the host"},
		{Destination{OnHost: true, Target: OtherPorts}, "all other ports of the host"},
		{Destination{OnHost: true, Target: OpenConnections}, "all other ports of the host, only packets of open connections"},
		{Destination{OnHost: true, Target: MatchedByNew, Rules: web}, "everything that accept \"web\" matches"},
		{Destination{Target: OpenConnections}, "all other ports, only packets of open connections"},
		{Destination{Target: MatchedByNew, Rules: web}, `everything that accept "web" matches`},
		{Destination{Target: MatchedByOld, Rules: web}, `everything that accept "web" matched`},
		{Destination{Target: MatchedByNew, Rules: slices.Concat(web, web)}, "everything that the new rules match"},
		{Destination{States: []packet.ConnState{{State: ir.CTEstablished, Dir: ir.CTReply}, {State: ir.CTInvalid}}}, "anything, only invalid packets and replies of established connections"},
		{Destination{Target: Container, Ports: ports(80), Protocols: tcp, SNAT: &no}, "container port 80/tcp, only connections without SNAT"},
		{Destination{Conditions: []packet.Condition{{Name: "limit --limit 5/sec"}, {Name: "mark 0x1", Holds: true}}}, "anything, if [limit --limit 5/sec] does not match and [mark 0x1] matches"},
	} {
		if got := (sentences{}).destination(c.d); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestOnlyAFullReportHasAllPorts(t *testing.T) {
	var ports []ir.PortRange
	for n := range uint16(20) {
		ports = append(ports, ir.PortRange{First: 2 * n, Last: 2 * n})
	}
	d := Destination{Target: Container, Ports: ports}
	if got, want := (sentences{}).destination(d), "container ports 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22 and 8 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := whole.destination(d), "container ports 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
