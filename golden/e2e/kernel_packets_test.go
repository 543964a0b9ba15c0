//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/emit"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// packetsSent is the number of packets for the rules of one family of a random policy.
const packetsSent = 220

// policy is a compiled policy: its files, and the state they describe.
type policy struct {
	text     string
	programs []*ir.Program
	files    map[string]string
	state    *snapshot.State
}

// compilePolicy compiles a policy in a directory; ok is false if it has errors.
func compilePolicy(t fataler, dir, text string) (_ *policy, ok bool) {
	t.Helper()
	path := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		return nil, false
	}
	opened, diags, err := snapshot.Open(path, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	p := &policy{text: text, programs: result.Hosts[0].Ruleset.Programs, files: map[string]string{}, state: opened.States[0]}
	for _, f := range result.Hosts[0].Files {
		p.files[f.Name] = string(f.Content)
	}
	return p, true
}

// fataler has the methods of *testing.T and *rapid.T that are used here.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// load loads a policy's sets and the rules of one family, with the jump.
func (p *policy) load(t fataler, host *lab.Namespace, b lab.Backend, program *ir.Program) {
	t.Helper()
	family := int(program.Family)
	p.must(t, b, host.IPTablesRestore(b, family, "*filter\n:"+program.Target+" - [0:0]\nCOMMIT\n"))
	p.must(t, b, host.IPSetRestore(p.files[emit.SetsFile]))
	p.must(t, b, host.IPTablesRestore(b, family, p.files[rulesFile(family, "restore")]))
	if program.Install == ir.Jump {
		p.must(t, b, host.IPTables(b, family, "-I", program.Target, "-j", program.Chains[0].Name))
	}
	if program.HasGuard() {
		p.must(t, b, host.IPTables(b, family, "-I", "INPUT", "1", "-j", ir.GuardChain))
	}
}

// scrub deletes everything that policies load, also after a failure.
func scrub(t fataler, host *lab.Namespace, b lab.Backend, f ir.Family) {
	t.Helper()
	text, deletions := "*filter\n-F INPUT\n", ""
	for name := range chainsOf(t, f, host.IPTablesSave(b, int(f), "filter")) {
		if strings.HasPrefix(name, "DOCKER") {
			text += ":" + name + " - [0:0]\n"
		}
		if strings.HasPrefix(name, "DOCKERFW") {
			deletions += "-X " + name + "\n"
		}
	}
	if err := host.IPTablesRestore(b, int(f), text+deletions+"COMMIT\n"); err != nil {
		t.Fatal(err)
	}
	host.MustRun("ipset", "flush") // members of a list:set cannot be destroyed
	host.MustRun("ipset", "destroy")
}

// remove loads the .remove files.
func (p *policy) remove(t fataler, host *lab.Namespace, b lab.Backend, program *ir.Program) {
	t.Helper()
	family := int(program.Family)
	p.must(t, b, host.IPTablesRestore(b, family, p.files[rulesFile(family, "remove")]))
	p.must(t, b, host.IPSetRestore(p.files[emit.SetsRemoval]))
	// The unmanaged set stays; the next policy creates it again.
	host.MustRun("ipset", "destroy")
}

func (p *policy) must(t fataler, b lab.Backend, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %s\n%s", b, err, p.text)
	}
}

// disagreements sends packets through a chain and describes those with another verdict of the
// kernel than of package packet. Packets whose verdict depends on limits or unmanaged sets are
// not sent; sent is the number of the others.
func (p *policy) disagreements(t fataler, r *lab.Router, f ir.Family, start string, packets []packet.Packet) (found []string, sent int) {
	t.Helper()
	space, err := packet.New(p.state.Program(f, start))
	if err != nil {
		t.Fatal(err)
	}
	e := space.Programs()[0]
	packets = slices.DeleteFunc(slices.Clone(packets), func(q packet.Packet) bool { return conditional(e, q) })
	got, err := r.Send(packets)
	if err != nil {
		t.Fatalf("%s\n%s", err, p.text)
	}
	for i, q := range packets {
		decision := e.Decide(q)
		if !e.Outcome(decision.Verdict).Contains(q) {
			t.Fatalf("%s\nthe sets of package packet and its evaluation of rules differ for %s", p.text, q)
		}
		if want := lab.Observed(q, decision.Verdict); got[i] != want {
			found = append(found, fmt.Sprintf("%s\n%s, %s: %s by the kernel; %s by package packet (%s)",
				q, r.Backend, f, got[i], decision.Verdict, ruleText(e.Program, decision.At)))
		}
	}
	return found, len(packets)
}

func ruleText(p *packet.Program, at packet.Place) string {
	if r := p.Rule(at); r != nil {
		return r.Text
	}
	return "no rule"
}

// conditional reports whether the policy's verdict for a packet may depend on more than the
// packet.
func (p *policy) conditional(t fataler, q packet.Packet) bool {
	t.Helper()
	space, err := packet.New(p.state.Program(q.Family, p.state.Target))
	if err != nil {
		t.Fatal(err)
	}
	return conditional(space.Programs()[0], q)
}

// conditional reports whether the verdict for a packet may depend on opaque conditions, such as
// limits, of rules whose other conditions match it.
func conditional(e *packet.Evaluation, p packet.Packet) bool {
	var names []string
	for _, c := range e.Program.Chains {
		for _, r := range c.Rules {
			if opaque := r.Opaque(); len(opaque) > 0 && matchesOtherwise(r, p) {
				names = append(names, opaque...)
			}
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > 8 {
		return true
	}
	verdict := e.Decide(p).Verdict
	for subset := range 1 << len(names) {
		p.Conditions = map[string]bool{}
		for i, name := range names {
			p.Conditions[name] = subset>>i&1 == 1
		}
		if e.Decide(p).Verdict != verdict {
			return true
		}
	}
	return false
}

// matchesOtherwise reports whether all conditions of a rule that are not opaque match a packet.
func matchesOtherwise(r *packet.Rule, p packet.Packet) bool {
	return !slices.ContainsFunc(r.Matches, func(c packet.Cond) bool {
		return len((&packet.Rule{Matches: []packet.Cond{c}}).Opaque()) == 0 && !packet.Holds(c, &p)
	})
}

// The values in random policies, and the addresses and ports next to them.
var (
	clients = map[ir.Family][]netip.Addr{
		ir.IPv4: addresses("192.0.2.0 192.0.2.1 192.0.2.2 192.0.2.127 192.0.2.128 192.0.2.130 192.0.2.141 192.0.2.199 192.0.2.200 192.0.2.255 192.0.3.0 9.255.255.255 10.0.0.0 10.1.2.3 10.255.255.255 11.0.0.0 203.0.113.7"),
		ir.IPv6: addresses("2001:db8:: 2001:db8::1 2001:db8::2 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9:: 2001:db7:ffff::1 2a00::9 fd00::9"),
	}
	published = map[ir.Family][]netip.Addr{
		ir.IPv4: addresses("198.51.100.1 198.51.100.2 198.51.100.3"),
		ir.IPv6: addresses("2001:db8::80 2001:db8::81"),
	}
	interfaces     = []string{"eth0", "eth1", "wg0", "wg1", "docker0", "docker1", "br-a"}
	sourcePorts    = []uint16{52, 53, 54, 1023, 1024, 40000, 65535}
	publishedPorts = []uint16{52, 53, 79, 80, 81, 443, 444, 999, 1000, 1500, 2000, 2001}
	containerPorts = []uint16{53, 79, 80, 81, 443, 2999, 3000, 65535}
)

func addresses(list string) []netip.Addr {
	var out []netip.Addr
	for _, a := range strings.Fields(list) {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// randomPackets returns packets of all kinds that can be sent, most of them to published
// ports.
func randomPackets(r *rand.Rand, f ir.Family, n int) []packet.Packet {
	return drawPackets(r, f, n, false)
}

// drawPackets draws packets to containers, or to published ports of the host itself.
func drawPackets(r *rand.Rand, f ir.Family, n int, toHost bool) []packet.Packet {
	icmp, kinds := uint8(1), []uint8{0, 3, 8, 11, 13}
	if f == ir.IPv6 {
		icmp, kinds = 58, []uint8{1, 2, 128, 129}
	}
	leads := map[netip.Addr]string{}
	for _, a := range slices.Concat(clients[f], published[f]) {
		leads[a] = oneOf(r, interfaces...)
		if toHost && r.IntN(2) == 0 {
			leads[a] = "eth0"
		}
	}
	var out []packet.Packet
	for len(out) < n {
		p := packet.Packet{
			Family: f, In: oneOf(r, "eth0", "eth0", "eth0", oneOf(r, interfaces...)),
			Source: oneOf(r, clients[f]...), Destination: oneOf(r, clients[f]...),
			Protocol:   oneOf(r, 6, 6, 6, 17, 17, 132, icmp, icmp, 47),
			SourcePort: oneOf(r, sourcePorts...), DestinationPort: oneOf(r, containerPorts...),
			State:     oneOf(r, ir.CTNew, ir.CTNew, ir.CTNew, ir.CTEstablished, ir.CTEstablished, ir.CTRelated, ir.CTInvalid, ir.CTUntracked),
			Direction: oneOf(r, ir.CTOriginal, ir.CTReply),
			DNAT:      r.IntN(4) > 0, ICMPType: oneOf(r, kinds...),
			OriginalDestination: oneOf(r, published[f]...), OriginalPort: oneOf(r, publishedPorts...),
		}
		if toHost {
			p.DNAT, p.Destination = false, oneOf(r, published[f]...)
			p.DestinationPort = oneOf(r, 80, 443, 1500, oneOf(r, publishedPorts...))
		}
		p.Out = leads[p.Destination]
		if p.State == ir.CTEstablished {
			p.In = leads[p.Source]
		}
		if p.State == ir.CTRelated {
			p.Protocol = icmp
			if p.Direction == ir.CTOriginal && !p.DNAT {
				p.OriginalDestination = p.Destination
			}
			p.In = leads[p.Source]
		}
		p.Complete()
		if lab.Sendable(p) == nil {
			out = append(out, p)
		}
	}
	return out
}

// TestRandomPoliciesAgreeWithTheKernel loads compiled random policies on both
// backends, compares the saved rules with the compiled ones, sends packets, and removes the
// rules.
func TestRandomPoliciesAgreeWithTheKernel(t *testing.T) {
	t.Parallel()
	routers := []*lab.Router{lab.NewRouter(t, lab.NFT), lab.NewRouter(t, lab.Legacy)}
	dir := t.TempDir()
	policies, protections := 0, 0
	sent, input := map[lab.Backend]int{}, map[lab.Backend]int{}
	rapid.Check(t, func(t *rapid.T) {
		p, ok := compilePolicy(t, dir, randompolicy.Text(t))
		if !ok {
			t.Skip("the policy has errors")
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "packets"), 0))
		policies++
		for _, program := range p.programs {
			packets := randomPackets(random, program.Family, packetsSent)
			toHost := drawPackets(random, program.Family, packetsSent/2, true)
			if program.HasGuard() {
				protections++
			}
			for _, r := range routers {
				forwardPackets, inputPackets := p.loadSendRemove(t, r, program, packets, toHost)
				sent[r.Backend] += forwardPackets
				input[r.Backend] += inputPackets
			}
		}
	})
	t.Logf("%d policies; packets: %v; %d with INPUT protection, packets: %v", policies, sent, protections, input)
	for _, r := range routers {
		if sent[r.Backend] < 200*policies {
			t.Errorf("%s: only %d policies, %d packets", r.Backend, policies, sent[r.Backend])
		}
		// Usually half of the policies have INPUT protection; of a few, none may have it.
		if policies >= 100 && protections < policies/4 || input[r.Backend] < 50*protections {
			t.Errorf("%s: only %d policies with INPUT protection, %d packets", r.Backend, protections, input[r.Backend])
		}
	}
}

// loadSendRemove loads the rules of one family, compares the saved rules with the compiled
// ones, sends packets through them and through the INPUT protection, and removes them. It
// returns the numbers of packets sent.
func (p *policy) loadSendRemove(t *rapid.T, r *lab.Router, program *ir.Program, packets, toHost []packet.Packet) (forwarded, input int) {
	t.Helper()
	f := program.Family
	// After a failure, rapid tries smaller policies.
	defer scrub(t, r.Namespace, r.Backend, f)
	p.load(t, r.Namespace, r.Backend, program)
	p.compareSaved(t, r, program)
	compare := func(start string, packets []packet.Packet) int {
		t.Helper()
		found, sent := p.disagreements(t, r, f, start, packets)
		if len(found) > 0 {
			t.Fatalf("%s: the verdicts for %d of %d packets differ, for example\n%s\nPolicy:\n%s\nRules:\n%s",
				start, len(found), sent, found[0], p.text, p.files[rulesFile(int(f), "restore")])
		}
		return sent
	}
	forwarded = compare(p.state.Target, packets)
	if program.HasGuard() {
		p.throughInputChain(r, f, func() { input = compare(ir.GuardChain, toHost) })
	}
	p.remove(t, r.Namespace, r.Backend, program)
	for name, rules := range chainsOf(t, f, r.IPTablesSave(r.Backend, int(f), "filter")) {
		if name != "FORWARD" && len(rules) > 0 || strings.HasPrefix(name, "DOCKERFW") {
			t.Fatalf("%s, %s: chain %s remains after the removal: %q\n%s", r.Backend, f, name, rules, p.text)
		}
	}
	return forwarded, input
}

// throughInputChain makes the router send packets through the chain of the INPUT protection
// while do runs.
func (p *policy) throughInputChain(r *lab.Router, f ir.Family, do func()) {
	r.SetChain(f, ir.GuardChain)
	defer r.SetChain(f, "DOCKER-USER")
	do()
}

// compareSaved compares the rules that the host saves with those that were loaded.
func (p *policy) compareSaved(t *rapid.T, r *lab.Router, program *ir.Program) {
	t.Helper()
	family := int(program.Family)
	before := "*filter\n:" + program.Target + " - [0:0]\nCOMMIT\n"
	if program.Install == ir.Jump {
		before = "*filter\n:DOCKERFW - [0:0]\n:" + program.Target + " - [0:0]\n-A " + program.Target + " -j DOCKERFW\nCOMMIT\n"
	}
	want := chainsOf(t, program.Family, before, p.files[rulesFile(family, "restore")])
	got := chainsOf(t, program.Family, r.IPTablesSave(r.Backend, family, "filter"))
	delete(want, "FORWARD") // the router's own
	delete(want, "INPUT")   // has a jump of ours
	for name := range want {
		if diff := cmp.Diff(want[name], got[name]); diff != "" {
			t.Fatalf("%s, %s, chain %s (-compiled +saved):\n%s\n%s", r.Backend, program.Family, name, diff, p.text)
		}
	}
}

// chainsOf returns the rules of each chain after the texts are loaded, in the canonical form,
// which does not depend on the host's /etc/protocols.
func chainsOf(t fataler, f ir.Family, texts ...string) map[string][]string {
	host := iptables.NewRuleset(iptables.Family(f))
	for _, text := range texts {
		file, diags := iptables.ParseRules(strings.NewReader(text), "rules")
		if !diags.HasErrors() {
			diags = host.Load(file)
		}
		if diags.HasErrors() {
			t.Fatalf("%s\n%s", diags, text)
		}
	}
	out := map[string][]string{}
	for _, c := range host.Table("filter").Chains {
		out[c.Name] = nil
		for _, r := range c.Rules {
			out[c.Name] = append(out[c.Name], host.Canonical(r))
		}
	}
	return out
}

// Packets find each wrong or missing rule, so that the test above can fail.
func TestPacketsRevealWrongRules(t *testing.T) {
	t.Parallel()
	r := lab.NewRouter(t, lab.NFT)
	p, ok := compilePolicy(t, t.TempDir(), `
host {
  external_interfaces = ["eth0"]
  proxy_ports         = [80]
}
ipset "a" { entries = ["192.0.2.0/24"] }
established { sessions = "recheck" }
deny "one" { source = ["192.0.2.1"] }
accept "web" {
  protocol        = "tcp"
  published_ports = [443, "1000-2000"]
}
default { allow = [ipset.a] }
`)
	if !ok {
		t.Fatal("the policy has errors")
	}
	rules := p.files[emit.RulesFile4]
	random := rand.New(rand.NewPCG(1, 1))
	packets, toHost := randomPackets(random, ir.IPv4, 1500), drawPackets(random, ir.IPv4, 1500, true)
	program := p.programs[0]
	disagree := func(rules string) (found []string) {
		t.Helper()
		p.files[emit.RulesFile4] = rules
		p.load(t, r.Namespace, r.Backend, program)
		// One packet is enough, and is mostly among the first few hundred.
		send := func(start string, packets []packet.Packet) {
			for chunk := range slices.Chunk(packets, 300) {
				if found, _ = p.disagreements(t, r, ir.IPv4, start, chunk); len(found) > 0 {
					return
				}
			}
		}
		send(p.state.Target, packets)
		if len(found) == 0 {
			p.throughInputChain(r, ir.IPv4, func() { send(ir.GuardChain, toHost) })
		}
		p.remove(t, r.Namespace, r.Backend, program)
		return found
	}
	if found := disagree(rules); len(found) > 0 {
		t.Fatalf("with the correct rules: %s", found[0])
	}
	lines := strings.SplitAfter(rules, "\n")
	var own []int
	for i, line := range lines {
		// Only a conntrack helper makes RELATED packets with ports.
		invisible := strings.HasPrefix(line, "-A DOCKERFW-PROXY -m conntrack --ctstate RELATED ")
		if strings.HasPrefix(line, "-A ") && !invisible {
			own = append(own, i)
		}
	}
	faults := map[string]string{}
	for _, i := range own {
		faults["without "+lines[i]] = strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "")
	}
	for _, pair := range [][2]string{
		{"--ctdir ORIGINAL", "--ctdir REPLY"},
		{"--ctorigdstport 443", "--ctorigdstport 444"},
		{"1000:2000", "1000:1999"},
		{"! --match-set", "--match-set"},
		{"--ctstate DNAT", "! --ctstate DNAT"},
		{"-i eth0", "-i eth1"},
		{"-s 192.0.2.1/32", "-s 192.0.2.0/32"},
		{"-s 192.0.2.1/32", "-d 192.0.2.1/32"},
		{"-j DROP", "-j RETURN"},
		{"-p tcp -m conntrack", "-p udp -m conntrack"},
		{"-p tcp -m tcp", "-p udp -m udp"},
		{"--dport 80 ", "--dport 81 "},
		{"--ctstate RELATED", "--ctstate NEW"},
	} {
		if !strings.Contains(rules, pair[0]) {
			t.Errorf("%s is not in\n%s", pair[0], rules)
		}
		faults[pair[0]+" → "+pair[1]] = strings.ReplaceAll(rules, pair[0], pair[1])
	}
	for name, text := range faults {
		if len(disagree(text)) == 0 {
			t.Errorf("%s: %d packets do not reveal it", strings.TrimSpace(name), len(packets))
		}
	}
}

// TestExamplePacketsOfDiffAgreeWithTheKernel sends the example packet of each change through
// the old rules and through the new ones.
func TestExamplePacketsOfDiffAgreeWithTheKernel(t *testing.T) {
	t.Parallel()
	routers := []*lab.Router{lab.NewRouter(t, lab.NFT), lab.NewRouter(t, lab.Legacy)}
	dir := t.TempDir()
	free, sent := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		before, ok := compilePolicy(t, dir, randompolicy.Text(t))
		after, ok2 := compilePolicy(t, dir, randompolicy.Text(t))
		if !ok || !ok2 {
			t.Skip("the policy has errors")
		}
		report, err := diff.Compare(before.state, after.state, diff.Options{})
		if err != nil {
			t.Fatal(err)
		}
		witnesses := map[ir.Family][]diff.Change{}
		for _, c := range report.Changes {
			if c.Path != diff.Forwarded || before.conditional(t, c.Witness) || after.conditional(t, c.Witness) {
				continue
			}
			free++
			if lab.Sendable(c.Witness) == nil {
				witnesses[c.Witness.Family] = append(witnesses[c.Witness.Family], c)
			}
		}
		for family, list := range witnesses {
			r := routers[free%2]
			var packets []packet.Packet
			for _, c := range list {
				packets = append(packets, c.Witness)
			}
			sent += len(list)
			for _, side := range []struct {
				name    string
				policy  *policy
				verdict func(diff.Change) packet.Verdict
			}{
				{"old", before, func(c diff.Change) packet.Verdict { return c.WitnessOld }},
				{"new", after, func(c diff.Change) packet.Verdict { return c.WitnessNew }},
			} {
				var got []packet.Verdict
				got, err := side.policy.send(t, r, family, packets)
				if err != nil {
					t.Fatal(err)
				}
				for i, c := range list {
					if want := lab.Observed(c.Witness, side.verdict(c)); got[i] != want {
						t.Fatalf("%s\n%s rules: %s by the kernel, %s by diff\nold:\n%s\nnew:\n%s", c.Witness, side.name, got[i], want, before.text, after.text)
					}
				}
			}
		}
	})
	t.Logf("%d changes without conditions, %d example packets sent", free, sent)
	if sent < free*3/4 {
		t.Errorf("only %d of %d example packets were sent", sent, free)
	}
}

// send sends packets through the policy's rules of a family. If the policy does not have the
// family, Docker's rules decide.
func (p *policy) send(t fataler, r *lab.Router, f ir.Family, packets []packet.Packet) ([]packet.Verdict, error) {
	for _, program := range p.programs {
		if program.Family == f {
			p.load(t, r.Namespace, r.Backend, program)
			defer scrub(t, r.Namespace, r.Backend, f)
		}
	}
	return r.Send(packets)
}
