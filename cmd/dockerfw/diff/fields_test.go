package diff

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/golden/lab/structs"
)

var (
	yes, no = true, false

	// regionSamples are values of the fields of a region: see structs.EachField.
	regionSamples = []any{
		ir.IPv6,
		&packet.Interfaces{Names: []string{"eth0"}},
		&packet.Addresses{In: packet.NewAddrSet("", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})},
		[]packet.ProtoRange{{First: 17, Last: 17}},
		[]ir.PortRange{{First: 1234, Last: 1234}},
		[]packet.ICMPType{{FirstType: 3, LastType: 3, LastCode: 255}},
		[]packet.ConnState{{State: ir.CTEstablished, Dir: ir.CTReply}},
		&yes, &no,
		[]packet.Condition{{Name: "p", Holds: true}},
	}

	packetSamples = []any{
		ir.IPv4, ir.IPv6, ir.CTRelated, ir.CTEstablished, ir.CTOriginal, ir.CTReply,
		netip.MustParseAddr("203.0.113.77"),
		map[string]bool{"p": true},
		packet.Marks{Packet: packet.MarkValue{Bits: 1}},
	}
)

// The parts of a description copy the fields of a region one by one: a field that they leave
// out makes two different regions read alike.
func TestEachFieldOfARegionChangesTheSentenceAndTheJSON(t *testing.T) {
	tcp, port := []packet.ProtoRange{{First: 6, Last: 6}}, []ir.PortRange{{First: 443, Last: 443}}
	family := map[string]string{"Family": "a change lists its families"}
	with := func(field, reason string) map[string]string {
		return map[string]string{"Family": family["Family"], field: reason}
	}
	for _, c := range []struct {
		name   string
		path   Path
		region packet.Region
		// not are the fields that change nothing, with the reason.
		not map[string]string
	}{
		{"any packet", Forwarded, packet.Region{}, family},
		{"a published port", Forwarded, packet.Region{Protocols: tcp, OriginalPorts: port, DNAT: &yes}, family},
		{"a container's port", Forwarded, packet.Region{Protocols: tcp, DestinationPorts: port}, family},
		{"a container's port without DNAT", Forwarded, packet.Region{Protocols: tcp, DestinationPorts: port, DNAT: &no}, with("OriginalPorts", "without DNAT they are the container's ports")},
		{"docker-proxy", ToProxy, packet.Region{Protocols: tcp, DestinationPorts: port}, with("DNAT", "Docker translates no packets to docker-proxy")},
	} {
		sentence, document := described(t, c.path, c.region)
		structs.EachField(t, c.region, regionSamples, func(field string, r packet.Region) {
			text, doc := described(t, c.path, r)
			reason, same := c.not[field]
			switch {
			case !same && text == sentence:
				t.Errorf("%s: another %s does not change the sentence: see clientsOf, destinationOf and sentences", c.name, field)
			case !same && doc == document:
				t.Errorf("%s: another %s does not change the JSON", c.name, field)
			case same && doc != document:
				t.Errorf("%s: another %s changes the JSON to %s, although %s", c.name, field, doc, reason)
			}
		})
	}
}

// described returns the sentence of a change of a region's packets, and its JSON.
func described(t *testing.T, path Path, r packet.Region) (sentence, document string) {
	t.Helper()
	var d Description
	d.Traffic, _ = path.trafficOf([]packet.Region{r})
	change := Change{Path: path, Packets: d}
	out, err := json.Marshal(change.json(Style{Full: true}))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(whole.description(d), "\n"), string(out)
}

func TestEachFieldOfAPacketChangesItsJSON(t *testing.T) {
	not := []string{
		"Marks",     // a witness has none: Route removes them
		"Elsewhere", // no set of packets depends on it
	}
	a := netip.MustParseAddr("192.0.2.1")
	bases := []packet.Packet{
		{Family: ir.IPv4, In: "eth0", Source: a, Destination: a, OriginalDestination: a, Protocol: packet.ProtoTCP, State: ir.CTEstablished, Direction: ir.CTOriginal, DNAT: true},
		{Family: ir.IPv4, In: "eth0", Source: a, Destination: a, OriginalDestination: a, Protocol: packet.ProtoICMP, State: ir.CTEstablished, Direction: ir.CTReply},
	}
	document := func(p packet.Packet) string {
		fields := packetJSON(p)
		fields.Text = "" // programs must not have to parse it
		out, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	changes := map[string]bool{}
	for _, base := range bases {
		structs.EachField(t, base, packetSamples, func(field string, p packet.Packet) {
			changes[field] = changes[field] || document(p) != document(base)
		})
	}
	for field, changed := range changes {
		switch except := slices.Contains(not, field); {
		case !changed && !except:
			t.Errorf("another %s does not change the JSON of a packet: see jsonPacket", field)
		case changed && except:
			t.Errorf("another %s changes the JSON of a packet: it is no exception", field)
		}
	}
}
