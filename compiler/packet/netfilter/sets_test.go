package netfilter

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

const severalSets = `create mark hash:ip,mark family inet markmask 0xff
add mark 192.0.2.7,0x00000110
create mac hash:mac
add mac 02:00:00:00:00:01
create ipmac hash:ip,mac family inet
add ipmac 192.0.2.7,02:00:00:00:00:01
add ipmac 192.0.2.8,02:00:00:00:00:02
create bmac bitmap:ip,mac range 192.0.2.0-192.0.2.255
add bmac 192.0.2.7,02:00:00:00:00:01
add bmac 192.0.2.8
create netnet hash:net,net family inet bitmask 255.255.0.255
add netnet 192.0.0.7,172.18.0.0/16
create clash hash:net,iface family inet
add clash 192.0.2.0/24,eth wildcard
add clash 192.0.2.0/24,eth1 nomatch
create plus hash:net,iface family inet
add plus 192.0.2.0/24,eth+
create lite hash:ip,port family inet
add lite 192.0.2.7,udplite:53
create names hash:net,port family inet
add names 192.0.2.0/24,tcp:80
add names host.example,tcp:81
create stops hash:net,port family inet
add stops 192.0.2.0/24,tcp:80 nomatch
add stops host.example,tcp:81
create holes hash:ip family inet bitmask 170.170.170.171
add holes 128.0.0.1
create strange hash:future
create bp bitmap:port range 0-100
add bp 80
create one hash:net family inet
add one 192.0.2.0/24
create pair hash:ip,port family inet
add pair 192.0.2.7,tcp:80
create lists list:set size 8
add lists one
add lists pair
create addresses list:set size 8
add addresses one
create empty hash:ip,port family inet
`

// Matches of a packet from 192.0.2.7 on eth1 to 172.18.0.4, TCP port 80: each holds, does
// not hold, or depends on the opaque conditions listed. hash:ip,mark, hash:net,net and the
// types with MAC addresses are as in ipset(8), bitmap:ip,mac as measured.
func TestMatchesAgainstSetsHoldOrListWhatTheyDependOn(t *testing.T) {
	sets := NewSets(readSets(t, severalSets), func(name string) bool { return name == "bp" })
	p := packet.Packet{
		In: "eth1", Out: "docker0", Source: netip.MustParseAddr("192.0.2.7"), Destination: netip.MustParseAddr("172.18.0.4"),
		Protocol: packet.ProtoTCP, SourcePort: 4000, DestinationPort: 80,
		Marks: packet.Marks{Packet: packet.MarkValue{Bits: 0x310}},
	}
	p.Complete()
	for rule, want := range map[string]string{
		"mark src,src":           "true",
		"mark dst,src":           "false",
		"mark src":               "false",
		"mac src":                "source MAC address is 02:00:00:00:00:01",
		"mac dst":                "destination MAC address is 02:00:00:00:00:01",
		"ipmac src,src":          "source MAC address is 02:00:00:00:00:01",
		"ipmac dst,src":          "false",
		"bmac src,src":           "source MAC address is 02:00:00:00:00:01",
		"bmac dst,dst":           "false",
		"netnet src,dst":         "true",
		"netnet src":             "false",
		"netnet dst,src":         "false",
		"clash src,src":          "set clash finds its entry eth before an overlapping one that differs in nomatch",
		"clash src,dst":          "false",
		"plus src,src":           "arriving on eth+ (a name, not a pattern)",
		"lite src,dst":           "false",
		"names src,dst":          "true",
		"names dst,dst":          `destination, destination port in set names because of its entry host.example,tcp:81, a host name`,
		"stops src,dst":          `source, destination port in set stops (one of its entries is a host name: host.example,tcp:81, entries 7fc7c475)`,
		"holes src":              "source in set holes (a netmask or bitmask with nomatch or with too many holes is not supported, entries b4946d5c)",
		"strange src,dst":        "source, destination in set strange (of type hash:future, which is not supported)",
		"bp dst":                 "destination in set bp (members unknown)",
		"absent src,dst":         "source, destination in set absent (members unknown)",
		"one src,dst":            "true",
		"pair src":               "false",
		"pair src,dst":           "true",
		"lists src":              "true",
		"lists dst,dst":          "false",
		"addresses src":          "true",
		"empty src,dst":          "false",
		"one src --packets-gt 5": "counters of the entry in set one: --packets-gt 5",
		"one dst --packets-gt 5": "false",
		"one src ! --update-counters ! --bytes-eq 1":    "counters of the entry in set one: ! --bytes-eq 1",
		"one src --return-nomatch":                      "false",
		"pair src,dst --return-nomatch":                 "true",
		"absent src --return-nomatch":                   "source in set absent (members unknown)",
		"one src ! --update-subcounters":                "true",
		"lists src,dst --return-nomatch":                "true",
		"addresses src --return-nomatch":                "false",
		"addresses src --update-counters --bytes-lt 10": "counters of the entry in set addresses: --bytes-lt 10",
	} {
		for _, not := range []bool{false, true} {
			line, expect := "-A X -m set --match-set "+rule, want
			if not {
				line = "-A X -m set ! --match-set " + rule
				if flipped, ok := map[string]string{"true": "false", "false": "true"}[want]; ok {
					expect = flipped
				}
			}
			r := readRule(t, line, sets)
			got := strings.Join(packet.Open(packet.All(r.Matches), &p), "; ")
			if got == "" {
				got = fmt.Sprint(packet.Holds(packet.All(r.Matches), &p))
			}
			if got != expect {
				t.Errorf("%s: got %q, want %q", line, got, expect)
			}
		}
	}
}

// Addresses with the same ports, and ports with the same addresses, become one condition:
// the number of conditions for 100,000 entries is that of their ports.
func TestLargeSetsAreFewConditions(t *testing.T) {
	if testing.Short() {
		t.Skip("reads some hundred thousand entries")
	}
	random := rand.New(rand.NewPCG(1, 1))
	address := func() string {
		return fmt.Sprintf("10.%d.%d.%d", random.IntN(200), random.IntN(256), 1+random.IntN(250))
	}
	for _, c := range []struct {
		name  string
		entry func(i int) string
		most  int // conditions
	}{
		{"hash:ip,port", func(int) string { return fmt.Sprintf("%s,tcp:%d", address(), 8000+random.IntN(50)) }, 50},
		{"hash:ip,port", func(int) string { return fmt.Sprintf("%s,tcp:%d", address(), 8000+random.IntN(2000)) }, 2000},
		{"hash:net,port,net", func(i int) string {
			return fmt.Sprintf("10.%d.%d.0/24,tcp:443,172.%d.%d.0/24", i%2000/250, i%250, random.IntN(256), random.IntN(256))
		}, 1},
		{"hash:ip,port", func(i int) string { return fmt.Sprintf("10.0.0.%d,tcp:%d", 1+i/50000, i%50000) }, 1},
		{"hash:ip,port,ip", func(i int) string {
			return fmt.Sprintf("10.0.%d.%d,tcp:443,172.18.0.%d", i%50000/250, 1+i%250, 2+i/50000)
		}, 1},
		{"hash:ip,port", func(int) string { return fmt.Sprintf("%s,tcp:%d", address(), random.IntN(65536)) }, 0},
	} {
		var b strings.Builder
		b.WriteString("create s " + c.name + " family inet maxelem 200000\n")
		for i := range 100_000 {
			b.WriteString("add s " + c.entry(i) + " -exist\n")
		}
		start := time.Now()
		sets := NewSets(readSets(t, b.String()), nil)
		ends := []packet.End{packet.Source, packet.Destination, packet.Destination}
		in := sets.Match("s", ends, false).(packet.InSet)
		list, isList := in.C.(packet.Any)
		opaque := (&packet.Rule{Matches: []packet.Cond{in}}).Opaque()
		switch {
		case c.most == 0:
			// Past the limit: what is from no address of the set is decided all the same.
			p := packet.Packet{Source: netip.MustParseAddr("11.0.0.1"), Destination: netip.MustParseAddr("172.18.0.2"), Protocol: packet.ProtoTCP, DestinationPort: 80}
			p.Complete()
			if len(opaque) != 1 || !strings.Contains(opaque[0], "too many to follow: more than 2048 different conditions") || len(packet.Open(in, &p)) > 0 || packet.Holds(in, &p) {
				t.Errorf("%s: %q", c.name, opaque)
			}
		case !isList || len(list) > c.most || len(opaque) > 0:
			t.Errorf("%s: %T of %d conditions, opaque %q", c.name, in.C, len(list), opaque)
		}
		e := space(t, &packet.Program{Family: ir.IPv4, Chains: []*packet.Chain{{Name: "c", Rules: []*packet.Rule{{Matches: []packet.Cond{in}, Verdict: packet.Verdict{Kind: packet.Drop}}}}}}).Programs()[0]
		if p, ok := e.Outcome(packet.Verdict{Kind: packet.Drop}).Witness(); !ok || e.Decide(p).Verdict.Kind != packet.Drop {
			t.Errorf("%s: witness %v", c.name, p)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s took %s", c.name, d)
		} else {
			t.Logf("%s: %d conditions, %s", c.name, len(list), d.Round(time.Millisecond))
		}
	}
}
