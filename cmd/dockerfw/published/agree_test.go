package published

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
)

// refused reports whether a compiled host drops or rejects one packet, rule by rule.
func refused(want *snapshot.Host, toHost bool, p packet.Packet) bool {
	chain := want.EntryChain()
	if toHost {
		chain = ir.InputChain
	}
	k := want.Program(p.Family, chain).Decide(p).Verdict.Kind
	return k == packet.Drop || k == packet.Reject
}

// What is decided about all clients agrees with single packets of random policies: where nobody
// gets through, no packet does; and the example of a port that docker-proxy opens gets through
// there, and is refused where packets are forwarded.
func TestDecisionsAgreeWithSinglePackets(t *testing.T) {
	dir := t.TempDir()
	compiled, leaks := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "policy.hcl")
		text := randompolicy.Text(t)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		side, diags, err := snapshot.Open(path, driver.Options{})
		if err != nil || diags.HasErrors() {
			return
		}
		want := side.Hosts[0]
		if _, container := want.Interfaces(want.Families()[0]); len(container) > 0 {
			return // the example packet need not be for one of these
		}
		compiled++
		p := Port{
			Protocol: rapid.SampledFrom([]uint8{6, 17, 132}).Draw(t, "protocol"),
			First:    rapid.SampledFrom([]uint16{22, 53, 80, 443, 5432, 8000, 8005, 65535}).Draw(t, "port"),
		}
		p.Last, p.Target = p.First, p.First
		decisions, err := decide(want, []Port{p})
		if err != nil {
			t.Fatal(err)
		}
		d := decisions[0]
		for _, f := range want.Families() {
			external, _ := want.Interfaces(f)
			from := netip.MustParseAddr(rapid.SampledFrom(map[ir.Family][]string{
				ir.IPv4: {"192.0.2.1", "10.0.0.9", "198.51.100.77", "8.8.8.8"}, ir.IPv6: {"2001:db8::1", "fe80::1", "2001:db8:1::5", "fd00::7"},
			}[f]).Draw(t, "client"))
			q := question.Question{From: from, Protocol: p.Protocol, ToPort: p.First, ContainerPort: p.Target}
			built, problems := question.Build(q, question.Host{External: external}, question.Flags)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			if !d.some && !refused(want, false, built.Packet) {
				t.Fatalf("nobody gets through, and %s does\n%s", built.Packet, text)
			}
		}
		if len(d.leaks) == 0 || len(d.leak.Conditions) > 0 {
			return
		}
		leaks++
		if !slices.Contains(d.leaks, d.leak.Family) || refused(want, true, d.leak) {
			t.Fatalf("%s does not get through\n%s", d.leak, text)
		}
		q := question.Question{From: d.leak.Source, FromPort: d.leak.SourcePort, Protocol: p.Protocol, ToPort: p.First, ContainerPort: p.Target, In: d.leak.In}
		built, problems := question.Build(q, question.Host{}, question.Flags)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if !refused(want, false, built.Packet) {
			t.Fatalf("%s is not refused\n%s", built.Packet, text)
		}
	})
	t.Logf("%d policies, %d ports that docker-proxy opens", compiled, leaks)
}
