//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// setPackets is the number of packets for each match.
const setPackets = 120

// kernelSets are sets of all types, and matches against them. Types that the kernel does not
// support are logged: many kernels have no hash:net,net, hash:net,port,net, hash:mac,
// hash:ip,mac and hash:ip,mark, which are then tested against ipset(8) only. These packets have
// no MAC addresses and marks.
var kernelSets = []struct {
	create  string
	add     []string
	matches []string // $ stands for --match-set and the set's name
}{
	{"hash:ip netmask 29", []string{"192.0.2.9"}, []string{"$ src", "! $ src", "$ dst,src", "$ src --return-nomatch"}},
	{"hash:ip bitmask 255.255.255.5", []string{"192.0.2.9", "192.0.2.4"}, []string{"$ src", "! $ dst"}},
	{"hash:ip family inet6 netmask 125", []string{"2001:db8::9"}, []string{"$ src"}},
	{"hash:net", []string{"192.0.2.0/28", "192.0.2.4/30 nomatch", "192.0.2.5"}, []string{"$ src", "! $ src --return-nomatch", "$ src --return-nomatch", "$ src ! --update-counters"}},
	{"hash:ip,port", []string{
		"192.0.2.1,tcp:80", "192.0.2.2-192.0.2.9,udp:53-54", "192.0.2.1,icmp:echo-request", "192.0.2.2,icmp:3/1", "192.0.2.3,sctp:80", "192.0.2.4,gre:0",
	}, []string{"$ src,dst", "$ src,src", "! $ src,dst", "$ src", "! $ src", "$ dst,dst,src"}},
	{"hash:ip,port netmask 30", []string{"192.0.2.5,tcp:80", "192.0.2.9,gre:0"}, []string{"$ src,dst"}},
	{"hash:ip,port family inet6", []string{"2001:db8::1,tcp:80", "2001:db8::2,icmpv6:echo-request", "2001:db8::3,icmpv6:1/4", "2001:db8::4,47:0"}, []string{"$ src,dst", "! $ src,dst"}},
	{"hash:net,port", []string{
		"192.0.2.0/28,tcp:80", "192.0.2.4/30,tcp:80 nomatch", "192.0.2.5,tcp:80", "192.0.2.0/29,udp:53", "192.0.2.0/29,icmp:echo-request",
	}, []string{"$ src,dst", "! $ src,dst", "$ src,dst --return-nomatch"}},
	{"hash:ip,port,ip", []string{"192.0.2.0-192.0.2.7,tcp:80,10.1.0.1", "192.0.2.3,udp:53,10.1.0.2", "192.0.2.3,gre:0,10.1.0.3"}, []string{"$ src,dst,dst", "! $ src,dst,dst", "$ dst,src,src", "$ src,dst"}},
	{"hash:ip,port,net", []string{
		"192.0.2.0-192.0.2.7,tcp:80,10.1.0.0/29", "192.0.2.3,tcp:80,10.1.0.0/30 nomatch", "192.0.2.3,tcp:80,10.1.0.2", "192.0.2.4,icmp:echo-request,10.1.0.0/24",
	}, []string{"$ src,dst,dst", "! $ src,dst,dst", "$ src,dst,dst --return-nomatch"}},
	{"hash:ip,port,net family inet6", []string{"2001:db8::3,tcp:80,fd00::/125", "2001:db8::3,tcp:80,fd00::2 nomatch"}, []string{"$ src,dst,dst"}},
	{"hash:net,port,net", []string{
		"192.0.2.0/28,tcp:80,10.1.0.0/28", "192.0.2.0/29,tcp:80,10.1.0.0/30 nomatch", "192.0.2.4/30,tcp:80,10.1.0.2", "192.0.2.0/28,tcp:80,10.1.0.0/31 nomatch",
	}, []string{"$ src,dst,dst", "$ src,dst,dst --return-nomatch"}},
	{"hash:net,net", []string{
		"192.0.2.0/28,10.1.0.0/28", "192.0.2.0/29,10.1.0.0/30 nomatch", "192.0.2.4/30,10.1.0.2", "192.0.2.0/28,10.1.0.0/31 nomatch",
	}, []string{"$ src,dst", "! $ src,dst", "$ src,dst --return-nomatch"}},
	{"hash:net,iface", []string{
		"0.0.0.0/0,eth1", "192.0.2.0/28,eth0", "192.0.2.4/30,eth1", "192.0.2.8/31,eth wildcard", "192.0.2.9,docker0", "192.0.2.10,eth0 nomatch", "192.0.2.11,physdev:eth0",
	}, []string{"$ src,src", "! $ src,src", "$ dst,dst", "$ src,dst", "$ src,src --return-nomatch"}},
	{"bitmap:ip range 192.0.2.0/24", []string{"192.0.2.1", "192.0.2.4/31"}, []string{"$ src", "! $ src,dst"}},
	{"bitmap:ip range 192.0.2.0-192.0.2.20 netmask 30", []string{"192.0.2.5"}, []string{"$ src"}},
	{"bitmap:port range 0-1023", []string{"80", "udp:53", "0-8"}, []string{"$ dst", "! $ dst", "$ src"}},
}

// listSets creates a list with members of several types and families.
const listSets = `create one hash:net
add one 192.0.2.0/30
add one 192.0.2.1 nomatch
create six hash:net family inet6
add six 2001:db8::/126
create two hash:ip,port
add two 192.0.2.1,tcp:80
add two 192.0.2.6,tcp:80
create ports bitmap:port range 0-100
add ports 53
create all list:set
add all one
add all six
add all two
add all ports
`

func setPacket(r *rand.Rand, f ir.Family) packet.Packet {
	address := func(v4, v6 string) netip.Addr {
		if f == ir.IPv6 {
			v4 = v6
		}
		a := netip.MustParseAddr(v4).AsSlice()
		a[len(a)-1] = byte(1 + r.IntN(13))
		out, _ := netip.AddrFromSlice(a)
		return out
	}
	icmp, kinds := uint8(1), []uint8{0, 8, 8, 8}
	if f == ir.IPv6 {
		icmp, kinds = 58, []uint8{129, 128, 128, 128}
	}
	p := packet.Packet{
		Family: f, In: oneOf(r, "eth0", "eth0", "eth1", "docker0"), Out: oneOf(r, "eth0", "eth1", "docker0"),
		Source: address("192.0.2.0", "2001:db8::"), Destination: address("10.1.0.0", "fd00::"),
		Protocol:   oneOf(r, 6, 6, 6, 17, 17, 132, icmp, icmp, 47),
		SourcePort: oneOf(r, uint16(53), 80, 4000), DestinationPort: oneOf(r, uint16(53), 54, 80, 80, 443),
		State: oneOf(r, ir.CTNew, ir.CTNew, ir.CTUntracked), ICMPType: oneOf(r, kinds...),
	}
	if r.IntN(4) == 0 {
		p.Source, p.Destination = p.Destination, p.Source
	}
	p.Complete()
	return p
}

// TestSetMatchesOfEveryTypeAgreeWithTheKernel loads a set of each type, reads it
// back with the tools of the host, and compares the verdicts for packets that are sent.
func TestSetMatchesOfEveryTypeAgreeWithTheKernel(t *testing.T) {
	t.Parallel()
	for _, b := range lab.Backends {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			r := lab.NewRouter(t, b)
			missing := 0
			for i, set := range kernelSets {
				name := fmt.Sprintf("set%d", i)
				if _, stderr, err := r.Run(append([]string{"ipset", "create", name}, strings.Fields(set.create)...)...); err != nil {
					if !strings.Contains(stderr, "not supported") {
						t.Fatal(err)
					}
					t.Logf("left out: this kernel does not support %s", set.create)
					missing++
					continue
				}
				var adds strings.Builder
				for _, e := range set.add {
					fmt.Fprintf(&adds, "add %s %s\n", name, e)
				}
				if _, _, err := r.Input(adds.String(), "ipset", "restore"); err != nil {
					t.Fatal(err)
				}
				f := ir.IPv4
				if strings.Contains(set.create, "inet6") {
					f = ir.IPv6
				}
				for _, m := range set.matches {
					compareSet(t, r, f, strings.ReplaceAll(m, "$", "--match-set "+name))
				}
			}
			if missing == len(kernelSets) {
				t.Error("no set was tested")
			}
			if _, _, err := r.Input(listSets, "ipset", "restore"); err != nil {
				t.Fatal(err)
			}
			for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
				for _, flags := range []string{"src", "src,dst", "dst,dst", "src --return-nomatch"} {
					compareSet(t, r, f, "--match-set all "+flags)
				}
			}
			compareSet(t, r, ir.IPv4, "! --match-set all src")
		})
	}
}

// compareSet sends packets through a rule with the match and compares the verdicts of the kernel
// with those of package packet.
func compareSet(t *testing.T, r *lab.Router, f ir.Family, match string) {
	t.Helper()
	rules := "*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -m set " + match + " -j DROP\nCOMMIT\n"
	if err := r.IPTablesRestore(r.Backend, int(f), rules); err != nil {
		t.Fatalf("%v\n%s", err, rules)
	}
	file, diags := iptables.ParseRules(strings.NewReader(r.IPTablesSave(r.Backend, int(f), "filter")), "saved")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	host := iptables.NewRuleset(iptables.Family(f))
	if diags := host.Load(file); diags.HasErrors() {
		t.Fatal(diags)
	}
	saved, diags := iptables.ParseSets(strings.NewReader(r.MustRun("ipset", "save")), "sets")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var sets iptables.Sets
	if diags := sets.Load(saved); diags.HasErrors() {
		t.Fatal(diags)
	}
	program := netfilter.Program(host.Table("filter"), f, "DOCKER-USER", netfilter.NewSets(&sets, nil))
	if texts := program.Chains[0].Rules[0].Opaque(); len(texts) > 0 {
		t.Fatalf("%s depends on %q", match, texts)
	}
	space, err := packet.New(program)
	if err != nil {
		t.Fatal(err)
	}
	e := space.Programs()[0]
	random := rand.New(rand.NewPCG(7, uint64(len(match))))
	// Half of the packets are dropped, if any are.
	drop := packet.Verdict{Kind: packet.Drop}
	var packets []packet.Packet
	dropped, passed := 0, 0
	for range 5000 {
		p := setPacket(random, f)
		count := &passed
		if e.Decide(p).Verdict == drop {
			count = &dropped
		}
		if *count < setPackets/2 && lab.Sendable(p) == nil {
			*count++
			packets = append(packets, p)
		}
	}
	got, err := r.Send(packets)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		want := e.Decide(p).Verdict
		if in := e.Outcome(drop).Contains(p); in != (want == drop) {
			t.Errorf("%s: %s: %s, in the set of dropped packets: %t", match, p, want, in)
		}
		if got[i] != want {
			t.Errorf("%s: %s: %s by the kernel, %s by package packet", match, p, got[i], want)
		}
	}
	if dropped == 0 && !e.Outcome(drop).IsEmpty() {
		t.Errorf("%s: none of the packets is dropped", match)
	}
}
