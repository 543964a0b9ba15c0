//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	rules "github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/golden/lab"
)

// endsPolicy has an accept and a deny that end together, and an accept without an end.
const endsPolicy = `
host {
  external_interfaces = ["eth0"]
}
accept "guest" {
  protocol        = "tcp"
  published_ports = [443]
  expires         = %[1]q
}
accept "web" {
  protocol        = "tcp"
  published_ports = [80]
}
deny "ban" {
  source  = ["192.0.2.66", "2001:db8::66"]
  expires = %[1]q
}
`

// untilEnd leaves time to compile and load the rules and to send packets.
const untilEnd = 12 * time.Second

// TestRulesEndOnTheHost loads rules that end within seconds, and sends packets until after the
// end without loading anything again: to containers, to docker-proxy, and through the fallback
// rules alone. The last second of a rule belongs to it.
func TestRulesEndOnTheHost(t *testing.T) {
	t.Parallel()
	for _, b := range lab.Backends {
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			t.Run(fmt.Sprintf("%s %s", b, f), func(t *testing.T) {
				t.Parallel()
				r := lab.NewRouter(t, b)
				end := time.Now().Truncate(time.Second).Add(untilEnd).UTC()
				p, ok := compilePolicy(t, t.TempDir(), fmt.Sprintf(endsPolicy, end.Format(time.RFC3339)))
				if !ok {
					t.Fatal("the policy has errors")
				}
				for _, program := range p.programs {
					if program.Family != f {
						continue
					}
					p.load(t, r.Namespace, b, program)
					p.compareEnds(t, r, program, end)
					p.remove(t, r.Namespace, b, program)
				}
			})
		}
	}
}

// endPacket is a new connection of a client to a published port.
func endPacket(f ir.Family, client string, port uint16, toHost bool) packet.Packet {
	address := func(v4, v6 string) netip.Addr {
		if f == ir.IPv6 {
			return netip.MustParseAddr(v6)
		}
		return netip.MustParseAddr(v4)
	}
	p := packet.Packet{
		Family: f, Protocol: packet.ProtoTCP, In: "eth0", Out: "docker0",
		Source: address("192.0.2."+client, "2001:db8::"+client), SourcePort: 40000,
		Destination: address("10.1.0.2", "fd00::2"), DestinationPort: 8080,
		OriginalDestination: address("198.51.100.1", "2001:db8:1::80"), OriginalPort: port, DNAT: true,
		State: ir.CTNew, Direction: ir.CTOriginal,
	}
	if toHost {
		p.Destination, p.DestinationPort, p.DNAT = p.OriginalDestination, port, false
	}
	p.Complete()
	return p
}

// compareEnds compares the verdicts of the kernel with those of package packet, which knows
// the end as a condition: before the end, in the last second of the rules, and after it.
func (p *policy) compareEnds(t *testing.T, r *lab.Router, program *rules.Program, end time.Time) {
	t.Helper()
	f := program.Family
	same := func(v packet.Verdict) packet.Verdict { return v }
	refused := func(v packet.Verdict) packet.Verdict {
		if v.Kind == packet.Drop {
			return v
		}
		return packet.Verdict{Kind: packet.Docker}
	}
	everything := func(to time.Time, holds bool) {
		t.Helper()
		p.atTime(t, r, f, p.state.Target, false, to, end, holds, same)
		p.throughInputChain(t, r, program, func() { p.atTime(t, r, f, ir.InputChain, true, to, end, holds, same) })
		p.must(t, r.Backend, r.IPTablesRestore(r.Backend, int(f), "*filter\n:NO-RULES - [0:0]\nCOMMIT\n"))
		r.SetChain(f, "NO-RULES")
		p.atTime(t, r, f, p.state.Target, false, to, end, holds, refused)
		r.SetChain(f, "DOCKER-USER")
	}
	everything(end.Add(-time.Second), true)
	time.Sleep(time.Until(end.Add(-950 * time.Millisecond)))
	p.atTime(t, r, f, p.state.Target, false, end, end, true, same)
	time.Sleep(time.Until(end.Add(50 * time.Millisecond)))
	everything(end.Add(time.Hour), false)
}

// atTime sends packets before a time. holds is whether the end of the rules has not come.
func (p *policy) atTime(t *testing.T, r *lab.Router, f ir.Family, start string, toHost bool, before, end time.Time, holds bool, as func(packet.Verdict) packet.Verdict) {
	t.Helper()
	space, err := packet.New(p.state.Program(f, start))
	if err != nil {
		t.Fatal(err)
	}
	var packets []packet.Packet
	for _, client := range []string{"9", "66"} {
		for _, port := range []uint16{443, 80} {
			packets = append(packets, endPacket(f, client, port, toHost))
		}
	}
	got, err := r.Send(packets)
	if err != nil {
		t.Fatal(err)
	}
	if !time.Now().Before(before) {
		t.Skipf("the packets were sent too late: this machine is too slow for an end in %s", untilEnd)
	}
	verdicts := map[packet.Kind]int{}
	for i, q := range packets {
		q.Conditions = map[string]bool{packet.Until{End: end.Unix()}.String(): holds}
		verdict := as(space.Programs()[0].Decide(q).Verdict)
		verdicts[verdict.Kind]++
		if want := lab.Observed(q, verdict); got[i] != want {
			t.Errorf("%s at %s, end %s: %s by the kernel, %s by package packet: %s", start, time.Now().UTC(), end, got[i], want, q)
		}
	}
	// Before the end the ban drops two, after it the default those to port 443.
	if verdicts[packet.Drop] != 2 {
		t.Errorf("%s: verdicts %v", start, verdicts)
	}
}
