package starter

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// newHost is a host with eth0, about which nothing else is known.
func newHost() Host { return Host{External: []Interface{{Name: "eth0"}}} }

// compiled writes the policy of a host, and compiles it.
func compiled(t interface {
	Helper()
	Fatalf(string, ...any)
}, dir string, h Host,
) *driver.Result {
	t.Helper()
	path, err := Write(dir, h)
	if err != nil {
		t.Fatalf("%v", err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	diags = append(diags, result.Lint()...)
	for _, d := range diags {
		if diag.Level(d) != "note" {
			text, _ := os.ReadFile(path)
			t.Fatalf("%s\n%s", d, text)
		}
	}
	return result
}

// newConnections are packets from outside of clients that are not in the set office.
func newConnections(f ir.Family, toHost bool, office *packet.AddrSet) *packet.Program {
	asked := []packet.Cond{packet.Interface{End: packet.Source, Name: "eth0"}, packet.State{States: ir.CTNew}}
	if office != nil {
		asked = append(asked, packet.Not{C: packet.Addr{End: packet.Source, In: office}})
	}
	if toHost {
		// The input block leaves other protocols, and answers of DHCP servers, to the host's own rules.
		asked = append(asked, packet.Proto{Numbers: []uint8{packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP}},
			packet.Not{C: packet.Port{End: packet.Destination, Ranges: []ir.PortRange{{First: 68, Last: 68}, {First: 546, Last: 546}}}})
	}
	return &packet.Program{
		Family: f, ToHost: toHost, Default: packet.Verdict{Kind: packet.Drop},
		Chains: []*packet.Chain{{Name: "asked", Rules: []*packet.Rule{{Matches: asked, Verdict: packet.Verdict{Kind: packet.Accept}}}}},
	}
}

// admitted returns a packet of a new connection that gets through, of a client that the policy does
// not list; "" for none.
func admitted(t interface {
	Helper()
	Fatalf(string, ...any)
}, result *driver.Result,
) string {
	t.Helper()
	fleet, diags := snapshot.OfResult("policy.hcl", result)
	if diags.HasErrors() {
		t.Fatalf("%s", diags)
	}
	h := fleet.Hosts[0]
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		office := h.Members()[map[ir.Family]string{ir.IPv4: "office", ir.IPv6: "office-v6"}[f]]
		for _, chain := range []string{h.EntryChain(), ir.InputChain} {
			space, err := packet.New(h.Program(f, chain), newConnections(f, chain == ir.InputChain, office))
			if err != nil {
				t.Fatalf("%v", err)
			}
			asked := space.Programs()[1].Match(packet.Place{})
			if asked.IsEmpty() {
				t.Fatalf("no packets are asked about")
			}
			for _, o := range space.Programs()[0].Outcomes() {
				if o.Verdict.Kind == packet.Drop || o.Verdict.Kind == packet.Reject {
					continue
				}
				if p, ok := o.Set.And(asked).Witness(); ok {
					return fmt.Sprintf("%s: %s: %s", chain, o.Verdict, p)
				}
			}
		}
	}
	return ""
}

func passed(t interface {
	Helper()
	Fatalf(string, ...any)
}, result *driver.Result,
) int {
	t.Helper()
	results, err := result.Test()
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, r := range results {
		if !r.Passed() {
			t.Fatalf("%s: %s by %s", r.Test.Name.Value, r.Got, r.By)
		}
	}
	return len(results)
}

func TestTheFirstPolicyAdmitsNobody(t *testing.T) {
	result := compiled(t, t.TempDir(), newHost())
	if n := passed(t, result); n != 3 {
		t.Errorf("%d tests, not 3", n)
	}
	if p := admitted(t, result); p != "" {
		t.Error(p)
	}
}

// The check of these tests finds a policy that is open.
func TestAnOpenPolicyIsFound(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.hcl")
	text := strings.ReplaceAll(string(Text(newHost())), "allow = [ipset.office]", "allow = [\"198.51.100.0/24\"]")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if p := admitted(t, result); !strings.Contains(p, "198.51.100.") {
		t.Errorf("it admits 198.51.100.0/24: %q", p)
	}
}

// portOf draws what a container may publish.
func portOf(t *rapid.T) published.Port {
	p := published.Port{
		Protocol: rapid.SampledFrom([]uint8{6, 6, 17, 132}).Draw(t, "protocol"),
		First:    rapid.SampledFrom([]uint16{1, 22, 53, 80, 443, 5432, 8000, 8001, 8002, 65535}).Draw(t, "port"),
		By:       rapid.SampledFrom([]string{"web", "db", "a b\nc", "-", "container 172.17.0.2:80", "ssh", "[x]\u202e", strings.Repeat("long", 40)}).Draw(t, "by"),
		Address:  rapid.SampledFrom([]netip.Addr{{}, {}, netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("127.0.0.1")}).Draw(t, "address"),
		Target:   80,
		Inactive: rapid.SampledFrom([]string{"", "", "", "profile debug"}).Draw(t, "inactive"),
	}
	p.Last = p.First
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		p.First, p.Last = published.EphemeralFirst, published.EphemeralLast
	case 1:
		p.Last = uint16(min(65535, int(p.First)+rapid.IntRange(0, 5).Draw(t, "more")))
	}
	if rapid.Bool().Draw(t, "at") {
		p.At = hcl.Range{Filename: "compose.yaml\n", Start: hcl.Pos{Line: 3}}
	}
	return p
}

// Whatever containers publish and the host serves: the policy has no warnings, its tests pass, and
// no client gets in that the user did not list.
func TestNobodyGetsInWhoIsNotListed(t *testing.T) {
	dir, n := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		h := newHost()
		h.PortsKnown = true
		h.Source = rapid.SampledFrom([]string{"", "live", "compose\n.yaml"}).Draw(t, "source")
		h.Published.Ports = rapid.SliceOfN(rapid.Custom(portOf), 0, 6).Draw(t, "ports")
		if rapid.Bool().Draw(t, "others") {
			h.Published.Others = []published.Container{{By: "m\n"}, {By: "n", Network: "lan", Driver: "macvlan"}}
		}
		h.ServicesKnown = rapid.Bool().Draw(t, "services known")
		if h.ServicesKnown {
			h.Services = []published.Service{{Protocol: 6, Port: rapid.SampledFrom([]uint16{22, 2222, 80}).Draw(t, "sshd"), Program: "sshd"}, {Protocol: 17, Port: 53, Program: "x\n}"}, {Protocol: 6, Port: 9100}}
		}
		h.Office = rapid.SampledFrom([][]string{nil, {"192.0.2.0/24"}, {"192.0.2.1-192.0.2.9", "2001:db8:1::/48"}}).Draw(t, "office")
		result := compiled(t, filepath.Join(dir, fmt.Sprint(n)), h)
		if passed(t, result) == 0 {
			t.Fatalf("no tests")
		}
		if p := admitted(t, result); p != "" {
			t.Fatalf("%s\n%s", p, Text(h))
		}
	})
}

// Of two blocks for a port, the first one accepts its packets: on one address of the host, or all of them.
func TestTestsOfPortsInTwoBlocksPass(t *testing.T) {
	port := func(by string, first, last uint16, address string) published.Port {
		p := published.Port{By: by, Protocol: 17, First: first, Last: last, Target: 80}
		p.Address, _ = netip.ParseAddr(address)
		return p
	}
	for i, ports := range [][]published.Port{
		{port("db", 22, 23, "198.51.100.1"), port("web", 22, 22, "")},
		{port("db", 22, 23, ""), port("web", 23, 24, "")},
		{port("db", 23, 24, ""), port("web", 22, 23, "")},
	} {
		h := newHost()
		h.PortsKnown, h.Office, h.Published.Ports = true, []string{"192.0.2.0/24"}, ports
		if n := passed(t, compiled(t, filepath.Join(t.TempDir(), fmt.Sprint(i)), h)); n == 0 {
			t.Error("no tests")
		}
	}
}

func TestEachPublishedPortHasABlock(t *testing.T) {
	port := func(by string, protocol uint8, first, last uint16, address string) published.Port {
		p := published.Port{By: by, Protocol: protocol, First: first, Last: last, Target: 80}
		p.Address, _ = netip.ParseAddr(address)
		return p
	}
	var names []string
	for _, a := range accepts(Host{Published: published.List{Ports: []published.Port{
		port("web", 6, 443, 443, ""),
		port("web", 17, 443, 443, "0.0.0.0"),
		port("many", 6, 8001, 8001, ""),
		port("many", 6, 8000, 8000, ""),
		port("one", 6, 8000, 8000, ""),
		port("db", 6, 5432, 5432, "198.51.100.1"),
		port("a/b", 6, 53, 53, ""),
		port("container 172.17.0.2:80", 6, 80, 80, ""),
		port("container [fd00::2]:80", 6, 80, 80, ""),
	}}}) {
		names = append(names, a.name)
	}
	if want := []string{"a-b-53", "port-80", "db-5432", "many-8000-8001", "web-443", "web-443-udp"}; !slices.Equal(names, want) {
		t.Errorf("%q", names)
	}
}

func TestAnExistingPolicyIsNotOverwritten(t *testing.T) {
	dir := t.TempDir()
	path, err := Write(dir, newHost())
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(dir, Host{External: []Interface{{Name: "eth9"}}}); err == nil || !strings.HasSuffix(err.Error(), "policy.hcl already exists; not overwritten") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != string(before) {
		t.Errorf("it was changed: %s %v", text, err)
	}
}
