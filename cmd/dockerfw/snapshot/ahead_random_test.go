package snapshot

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/golden/lab/randomhost"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// TestNoRefusedPacketIsLetThroughAheadOfAJump loads policies onto random hosts that have the
// jumps at random places. It asks the algebra without the shortcut of firstAdmitting, and sends
// packets through the whole host.
func TestNoRefusedPacketIsLetThroughAheadOfAJump(t *testing.T) {
	dir := t.TempDir()
	var policies []*Host
	for i, attributes := range []string{"", byJump, byJump + toBridges} {
		text := "host {\n  external_interfaces = [\"eth0\"]\n" + attributes + "}\n" +
			"accept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [80, 443]\n}\n" +
			"deny \"dns\" {\n  protocol = \"udp\"\n  container_ports = [53]\n  source = [\"192.0.2.0/24\", \"2001:db8::/64\"]\n}\n"
		policies = append(policies, open(t, write(t, filepath.Join(dir, string(rune('a'+i))+".hcl"), text)))
	}
	count := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		f := []ir.Family{ir.IPv4, ir.IPv6}[rapid.IntRange(0, 1).Draw(t, "family")]
		compiled := policies[rapid.IntRange(0, len(policies)-1).Draw(t, "policy")]
		host := drawHost(t, dir, f)
		for _, j := range compiled.rulesVersion(f).Jumps(f) {
			table := host.Rules[f].Table(j.Table)
			if table == nil {
				continue
			}
			if table.Chain(j.To) == nil {
				table.Chains = append(table.Chains, &iptables.Chain{Name: j.To})
			}
			c := table.Chain(j.Chain)
			for range rapid.SampledFrom([]int{1, 1, 1, 0, 2}).Draw(t, "jumps") {
				at := rapid.IntRange(0, len(c.Rules)).Draw(t, "at")
				c.Rules = slices.Insert(c.Rules, at, &iptables.Rule{Chain: c.Name, Jump: j.To, Text: "-j " + j.To})
			}
		}
		after, err := compiled.LoadedOnto(host)
		if err != nil {
			t.Fatal(err)
		}
		placements, err := compiled.Placements(host)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range placements {
			if p.Family != f {
				continue
			}
			checkPlacement(t, compiled, host, after, p)
			switch ahead := slices.IndexFunc(after.Rules[f].Table(p.Table).Chain(p.Chain).Rules, is(p.Jump)); {
			case p.Copies == 0:
				count["missing"]++
			case p.Move:
				count["moved"]++
			case ahead > 0:
				count["stayed behind rules"]++
			default:
				count["first"]++
			}
		}
		again, err := compiled.Placements(after)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range again {
			if p.Text() != "" || p.Move {
				t.Fatalf("loading again: %s", p.Text())
			}
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "packets"), 0))
		for range 100 {
			sendPacket(t, compiled, after, f, random, count)
		}
	})
	t.Log(count)
	for _, want := range []string{"missing", "moved", "stayed behind rules", "first", "refused", "not refused"} {
		if count["missing"] > 20 && count[want] == 0 {
			t.Errorf("no case of %q", want)
		}
	}
}

func drawHost(t *rapid.T, dir string, f ir.Family) *Host {
	drawn := randomhost.Draw(t, f)
	var lines []string
	for line := range strings.Lines(drawn.Rules) {
		if !randomhost.TestOnly(line) {
			lines = append(lines, line)
		}
	}
	var names []string
	for name, text := range map[string]string{map[ir.Family]string{ir.IPv4: "v4", ir.IPv6: "v6"}[f]: strings.Join(lines, ""), "sets": drawn.Sets} {
		names = append(names, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened, diags, err := Open(strings.Join(names, ","), driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags, lines)
	}
	return opened.Hosts[0]
}

// checkPlacement checks one jump: it is there once, nothing gets through ahead of it, and it
// has not moved without need.
func checkPlacement(t *rapid.T, compiled, host, after *Host, p Placement) {
	f := p.Family
	rules := after.Rules[f].Table(p.Table).Chain(p.Chain).Rules
	at := slices.IndexFunc(rules, is(p.Jump))
	if at < 0 || (p.Move || identity.IsOwnChain(p.To)) && slices.ContainsFunc(rules[at+1:], is(p.Jump)) || p.Move && at > 0 {
		t.Fatalf("%+v: the jump is not there once, or not first", p)
	}
	v := compiled.view(host, after.Rules[f], f)
	everything := &packet.Program{Family: f, ToHost: pathOf(p.Jump) == ToHost, Default: packet.Verdict{Kind: packet.Accept}, Chains: []*packet.Chain{{Name: "all"}}}
	refusing := v.refusing(p.Jump)
	if _, example, err := admitted(v.marked(v.ahead(p.Jump, at), p.Jump), refusing, everything, packet.Origin{}); err != nil || example != nil {
		t.Fatalf("%+v: let through: %v, %v", p, example, err)
	}
	if p.Undecided != nil || p.Move && (p.Copies == 1 || p.Copies > 1 && !identity.IsOwnChain(p.To)) && (p.Example == nil || !strings.Contains(p.Behind, "-A "+p.Chain+" ")) {
		t.Fatalf("%+v: moved for no reason", p)
	}
	if p.Example != nil {
		if k := refusing.Decide(*p.Example).Verdict.Kind; k != packet.Drop && k != packet.Reject {
			t.Fatalf("the policy does not refuse %s", p.Example)
		}
	}
}

// sendPacket sends a random packet through the whole host after loading, without the algebra.
func sendPacket(t *rapid.T, compiled, after *Host, f ir.Family, r *rand.Rand, count map[string]int) {
	pick := func(n int) int { return r.IntN(n) }
	addresses, ports := randomhost.Addresses(f), randomhost.Ports
	path, chain := Forward, compiled.EntryChain()
	p := packet.Packet{
		Family: f, In: randomhost.Interfaces[pick(2)], Out: randomhost.Interfaces[pick(5)],
		Source: addresses[pick(len(addresses))], Destination: addresses[pick(len(addresses))],
		Protocol: []uint8{6, 17, map[ir.Family]uint8{ir.IPv4: 1, ir.IPv6: 58}[f]}[pick(3)], ICMPType: []uint8{8, 128, 13}[pick(3)],
		SourcePort: ports[pick(len(ports))], DestinationPort: ports[pick(len(ports))],
		State: []ir.CTState{ir.CTNew, ir.CTNew, ir.CTInvalid, ir.CTEstablished, ir.CTRelated}[pick(5)], Direction: []ir.CTDir{ir.CTOriginal, ir.CTReply}[pick(2)],
		DNAT: pick(2) == 0, OriginalDestination: addresses[pick(len(addresses))], OriginalPort: ports[pick(len(ports))],
		Conditions: map[string]bool{packet.DestinationIsLocal.Text: pick(2) == 0, packet.SourceIsLocal.Text: false},
	}
	if pick(3) == 0 {
		path, chain, p.Out, p.DNAT = ToHost, ir.InputChain, "", false
	}
	if p.State == ir.CTNew {
		p.Direction = ir.CTOriginal
	}
	journey := packet.Trace(after.Hooks(f, path), p)
	end := journey.Packet
	switch compiled.Program(f, chain).Decide(end).Verdict.Kind {
	case packet.Drop, packet.Reject:
		count["refused"]++
		if journey.Open == "" && journey.Verdict.Kind == packet.Accept {
			t.Fatalf("%s gets through:\n%s", end, printedTo(after, f))
		}
	default:
		count["not refused"]++
	}
}

func printedTo(h *Host, f ir.Family) string {
	var b strings.Builder
	if err := h.Rules[f].Print(&b); err != nil {
		return err.Error()
	}
	return b.String()
}
