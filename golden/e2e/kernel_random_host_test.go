//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/explain"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/randomhost"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// hostTally counts the hosts and packets of a run.
type hostTally struct {
	hosts, beside, packets, conditional int
	// skipped are packets whose verdict cannot be observed, by reason.
	skipped map[string]int
	// fates are the correct answers, by the fate of the packet.
	fates map[string]int
}

// TestExplainAgreesWithTheKernelOnRandomHosts loads random rules of other tools, saves them
// with the tools of the host, explains packets, and sends them.
func TestExplainAgreesWithTheKernelOnRandomHosts(t *testing.T) {
	t.Parallel()
	for _, b := range lab.Backends {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			r := lab.NewHostRouter(t, b)
			packets := 60
			if testenv.Soak() {
				packets = 200
			}
			t.Logf("%d packets to each host; a soak sends 200", packets)
			tally := hostTally{skipped: map[string]int{}, fates: map[string]int{}}
			rapid.Check(t, func(t *rapid.T) {
				f := []ir.Family{ir.IPv4, ir.IPv6}[rapid.IntRange(0, 1).Draw(t, "family")]
				h := randomhost.Draw(t, f)
				random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "packets"), 0))
				tally.hosts++
				compareHost(t, r, h, random, packets, &tally)
			})
			t.Logf("%d hosts, %d of them with an nft table, %d packets, %d of them with an answer that depends on a condition; correct answers: %v; skipped: %v",
				tally.hosts, tally.beside, tally.packets, tally.conditional, tally.fates, tally.skipped)
			for _, fate := range []string{"forwarded", "dropped", "rejected", "for the host"} {
				if tally.hosts >= 50 && tally.fates[fate] == 0 {
					t.Errorf("no packet with fate %q", fate)
				}
			}
			if tally.conditional*4 > tally.packets {
				t.Error("too many answers depend on a condition")
			}
		})
	}
}

// compareHost loads a host, explains packets and sends them.
func compareHost(t *rapid.T, r *lab.Router, h *randomhost.Host, random *rand.Rand, count int, tally *hostTally) {
	family := int(h.Family)
	defer emptyHost(t, r, family)
	if h.Sets != "" {
		if err := r.IPSetRestore(h.Sets); err != nil {
			t.Fatalf("%v\n%s", err, h.Sets)
		}
	}
	if err := r.IPTablesRestore(r.Backend, family, h.Rules); err != nil {
		t.Fatalf("%v\n%s", err, h.Rules)
	}
	if h.NFT != "" {
		if _, _, err := r.Input(h.NFT, "nft", "-f", "-"); err != nil {
			t.Fatalf("%v\n%s", err, h.NFT)
		}
		defer func() {
			if _, _, err := r.Run("nft", "delete", "table", h.NFTFamily(), randomhost.NFTTable); err != nil {
				t.Fatal(err)
			}
		}()
		tally.beside++
	}
	state, saved := savedHost(t, r, h)
	var packets []packet.Packet
	for range count * 3 {
		p := randomHostPacket(random, h)
		if len(packets) < count && lab.Sendable(p) == nil {
			packets = append(packets, p)
		}
	}
	fates, err := r.Fates(packets)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		answers, err := explain.Explain(state, questionAbout(p), "")
		if err != nil {
			t.Fatalf("%s: %v\n%s", p, err, saved)
		}
		if p.State == ir.CTEstablished && p.DNAT && slices.ContainsFunc(answers, func(a *explain.Answer) bool { return a.Path == snapshot.ToHost }) {
			// The first packet of the connection is for the host itself, which ends it.
			tally.skipped["connection that the host ends"]++
			continue
		}
		if !p.DNAT && answers[0].Packet.DNAT {
			tally.skipped["DNAT for a container's own address"]++
			continue
		}
		got := fateText(fates[i])
		tally.packets++
		correct := false
		var explained []string
		for _, a := range answers {
			for _, c := range a.Cases {
				want := expectedFate(a, c.Verdict)
				explained = append(explained, want)
				correct = correct || want == got
			}
		}
		if len(explained) > 1 {
			tally.conditional++
		}
		if !correct {
			var text strings.Builder
			_ = explain.WriteText(&text, answers)
			t.Fatalf("%s: %s\nexplain: %s\nkernel: %s %v\n%s\n%s\n%s", r.Backend, p, strings.Join(explained, " or "), got, fates[i], text.String(), saved, h.Sets+h.NFT)
		}
		tally.fates[kindOfFate(got)]++
	}
}

// savedHost returns the host as its own tools save it, without the rules of the test.
func savedHost(t *rapid.T, r *lab.Router, h *randomhost.Host) (*snapshot.Host, string) {
	dir, err := os.MkdirTemp("", "random-host-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	text, _, err := r.Run(r.Backend.Tool(int(h.Family), "-save"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if !randomhost.TestOnly(line) {
			lines = append(lines, line)
		}
	}
	text = strings.Join(lines, "")
	name := fmt.Sprintf("rules.v%d", h.Family)
	content := map[string]string{name: text, "sets": r.IPSetSave()}
	if h.NFT != "" {
		tables, _, err := r.Run("nft", "-j", "list", "table", h.NFTFamily(), randomhost.NFTTable)
		if err != nil {
			t.Fatal(err)
		}
		content["nft.json"] = withoutTestRules(t, tables)
	}
	for file, content := range content {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened, diags, err := snapshot.Open(dir, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatalf("%v %v\n%s", err, diags, text)
	}
	return opened.Hosts[0], text
}

// withoutTestRules removes the rules of the test from the output of nft -j.
func withoutTestRules(t *rapid.T, text string) string {
	var all struct {
		Objects []map[string]json.RawMessage `json:"nftables"`
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	all.Objects = slices.DeleteFunc(all.Objects, func(o map[string]json.RawMessage) bool { return randomhost.TestOnly(string(o["rule"])) })
	out, err := json.Marshal(map[string]any{"nftables": all.Objects})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// emptyHost deletes the rules and sets of a host.
func emptyHost(t *rapid.T, r *lab.Router, family int) {
	var b strings.Builder
	for table, chains := range map[string][]string{
		"raw": {"PREROUTING"}, "mangle": {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}, "nat": {"PREROUTING"},
		"filter": {"INPUT", "FORWARD"}, "security": {"INPUT", "FORWARD"},
	} {
		fmt.Fprintf(&b, "*%s\n", table)
		for _, c := range chains {
			fmt.Fprintf(&b, ":%s ACCEPT [0:0]\n", c)
		}
		b.WriteString("-F\n-X\n")
		if table == "filter" {
			b.WriteString("-A FORWARD -m conntrack --ctstate INVALID\n")
		}
		b.WriteString("COMMIT\n")
	}
	if err := r.IPTablesRestore(r.Backend, family, b.String()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Run("ipset", "destroy"); err != nil {
		t.Fatal(err)
	}
}

// randomHostPacket returns a packet to a container or to a published port, which opens a
// connection, belongs to one, or belongs to none.
func randomHostPacket(random *rand.Rand, h *randomhost.Host) packet.Packet {
	addresses := randomhost.Addresses(h.Family)
	port := func() uint16 { return randomhost.Ports[random.IntN(len(randomhost.Ports))] }
	name := func() string { return randomhost.Interfaces[random.IntN(len(randomhost.Interfaces))] }
	p := packet.Packet{
		Family: h.Family, In: name(), Out: name(),
		Source: addresses[random.IntN(len(addresses))], Destination: addresses[random.IntN(len(addresses))],
		Protocol: []uint8{6, 6, 17, 17, 1}[random.IntN(5)], SourcePort: 30000 + uint16(random.IntN(9000)), DestinationPort: port(),
		State: ir.CTNew, Direction: ir.CTOriginal, ICMPType: 8,
	}
	if h.Family == ir.IPv6 && p.Protocol == 1 {
		p.Protocol, p.ICMPType = 58, 128
	}
	if random.IntN(5) == 0 {
		p.SourcePort = port()
	}
	if random.IntN(2) == 0 && len(h.Published) > 0 {
		to := h.Published[random.IntN(len(h.Published))]
		p.Protocol, p.Out = to.Protocol, to.Bridge
		p.DNAT, p.OriginalDestination, p.OriginalPort = true, lab.HostAddress(h.Family), to.Port
		p.Destination, p.DestinationPort = to.Container.Addr(), to.Container.Port()
	}
	if !h.NATByMark {
		switch random.IntN(4) {
		case 0:
			p.State = ir.CTEstablished
		case 1:
			if !p.DNAT {
				p.State = ir.CTInvalid
			}
		}
	}
	p.Complete()
	return p
}

// questionAbout returns the question to explain for a packet, as a user would write it.
func questionAbout(p packet.Packet) explain.Question {
	q := explain.Question{
		From: p.Source, FromPort: p.SourcePort, Protocol: p.Protocol, In: p.In, Out: p.Out, State: p.State,
	}
	if p.HasICMP() {
		q.ICMP = &question.ICMP{Type: p.ICMPType, Code: p.ICMPCode}
	}
	if p.DNAT {
		q.ToPort, q.ToAddress = p.OriginalPort, p.OriginalDestination
	} else {
		q.Container, q.ContainerPort = p.Destination, p.DestinationPort
	}
	return q
}

// fateText describes the fate of a packet.
func fateText(fates []lab.Fate) string {
	switch {
	case len(fates) == 0:
		return "dropped"
	case len(fates) > 1:
		return fmt.Sprintf("seen %d times", len(fates))
	case fates[0].Answer != "":
		return "answered " + fates[0].Answer
	}
	return "forwarded to " + fates[0].Device
}

// expectedFate is the fate that a verdict has for an observer.
func expectedFate(a *explain.Answer, v packet.Verdict) string {
	p := a.Packet
	switch v.Kind {
	case packet.Accept:
		if a.Path == snapshot.Forward {
			return "forwarded to " + p.Out
		}
		// Nothing listens on the host.
		if p.Protocol == 6 {
			return "answered tcp-reset"
		}
		return "answered " + map[ir.Family]string{ir.IPv4: "icmp-port-unreachable", ir.IPv6: "icmp6-port-unreachable"}[p.Family]
	case packet.Reject:
		return "answered " + v.With
	case packet.Drop:
		return "dropped"
	}
	return v.String()
}

func kindOfFate(text string) string {
	switch {
	case strings.HasPrefix(text, "forwarded"):
		return "forwarded"
	case strings.HasPrefix(text, "answered tcp-reset"):
		return "for the host"
	case strings.HasPrefix(text, "answered"):
		return "rejected"
	}
	return text
}
