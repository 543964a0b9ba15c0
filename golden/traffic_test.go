//go:build linux

package golden

import (
	"flag"
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

// packetsSent is how many packets each family's rules of a random policy get.
const packetsSent = 220

// Random policies are loaded into a kernel, which takes longer than what rapid makes its
// default of 100 for. -rapid.checks says otherwise; make soak does.
func init() {
	if err := flag.Set("rapid.checks", "12"); err != nil {
		panic(err)
	}
}

// policy is a compiled policy: what its files hold, and what they mean.
type policy struct {
	text     string
	programs []*ir.Program
	files    map[string]string
	state    *snapshot.Host
}

// compilePolicy compiles a policy in a directory; ok is false if it is refused.
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
	p := &policy{text: text, programs: result.Hosts[0].Ruleset.Programs, files: map[string]string{}, state: opened.Hosts[0]}
	for _, f := range result.Hosts[0].Files {
		p.files[f.Name] = string(f.Content)
	}
	return p, true
}

// fataler is what *testing.T and *rapid.T have in common here.
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

// scrub takes away all that policies load, whatever state it is in.
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
	host.MustRun("ipset", "flush") // list:sets hold on to their members
	host.MustRun("ipset", "destroy")
}

// remove takes away what load loaded.
func (p *policy) remove(t fataler, host *lab.Namespace, b lab.Backend, program *ir.Program) {
	t.Helper()
	family := int(program.Family)
	p.must(t, b, host.IPTablesRestore(b, family, p.files[rulesFile(family, "remove")]))
	p.must(t, b, host.IPSetRestore(p.files[emit.SetsRemoval]))
	// The set that somebody else fills stays; the next policy may make it anew.
	host.MustRun("ipset", "destroy")
}

func (p *policy) must(t fataler, b lab.Backend, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %s\n%s", b, err, p.text)
	}
}

// disagreements sends packets by the rules of a chain, and returns those which fare
// otherwise than the algebra says, with what both say. What depends on limits and on sets of others is
// left out: how many were asked about comes back too.
func (p *policy) disagreements(t fataler, r *lab.Router, f ir.Family, start string, packets []packet.Packet) (found []string, asked int) {
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
		says := e.Decide(q)
		if !e.Outcome(says.Verdict).Contains(q) {
			t.Fatalf("%s\nthe algebra's sets and its rules differ on %s", p.text, q)
		}
		if want := lab.Appears(q, says.Verdict); got[i] != want {
			found = append(found, fmt.Sprintf("%s\n%s, %s: the kernel says %s; the algebra says %s, by %s",
				q, r.Backend, f, got[i], says.Verdict, ruleText(e.Program, says.At)))
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

// conditional tells whether what becomes of a packet by a policy's rules may depend on
// more than the packet.
func (p *policy) conditional(t fataler, q packet.Packet) bool {
	t.Helper()
	space, err := packet.New(p.state.Program(q.Family, p.state.Target))
	if err != nil {
		t.Fatal(err)
	}
	return conditional(space.Programs()[0], q)
}

// conditional tells whether what becomes of a packet may depend on conditions that do
// not follow from it: those of rules that match it otherwise.
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

// matchesOtherwise tells whether all conditions of a rule hold that have nothing
// opaque in them.
func matchesOtherwise(r *packet.Rule, p packet.Packet) bool {
	return !slices.ContainsFunc(r.Matches, func(c packet.Cond) bool {
		return len((&packet.Rule{Matches: []packet.Cond{c}}).Opaque()) == 0 && !packet.Holds(c, &p)
	})
}

// What randompolicy writes, and the addresses and ports next to that.
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

// randomPackets are packets of all kinds that can be sent, most of them to ports
// that are published.
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

// TestRandomPoliciesDoInTheKernelWhatTheAlgebraSays loads what random policies
// compile to on both backends, each over what the one before left, compares what the
// host saves, sends packets, and removes it all again.
func TestRandomPoliciesDoInTheKernelWhatTheAlgebraSays(t *testing.T) {
	t.Parallel()
	routers := []*lab.Router{lab.NewRouter(t, lab.NFT), lab.NewRouter(t, lab.Legacy)}
	dir := t.TempDir()
	policies, guards := 0, 0
	sent, guarded := map[lab.Backend]int{}, map[lab.Backend]int{}
	rapid.Check(t, func(t *rapid.T) {
		p, ok := compilePolicy(t, dir, randompolicy.Text(t))
		if !ok {
			t.Skip("refused")
		}
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "packets"), 0))
		policies++
		for _, program := range p.programs {
			packets := randomPackets(random, program.Family, packetsSent)
			toHost := drawPackets(random, program.Family, packetsSent/2, true)
			if program.HasGuard() {
				guards++
			}
			for _, r := range routers {
				forwarded, input := p.liveAndDie(t, r, program, packets, toHost)
				sent[r.Backend] += forwarded
				guarded[r.Backend] += input
			}
		}
	})
	t.Logf("%d policies; packets: %v; %d guards, packets: %v", policies, sent, guards, guarded)
	for _, r := range routers {
		if sent[r.Backend] < 200*policies {
			t.Errorf("%s: only %d policies, %d packets", r.Backend, policies, sent[r.Backend])
		}
		// Half as many guards as policies are usual; of a few policies, none may have one.
		if policies >= 100 && guards < policies/4 || guarded[r.Backend] < 50*guards {
			t.Errorf("%s: only %d guards, %d packets", r.Backend, guards, guarded[r.Backend])
		}
	}
}

// liveAndDie loads one family's rules, compares what the host saves, sends packets
// by them and by the guard, and removes the rules. It returns how many packets were
// asked about.
func (p *policy) liveAndDie(t *rapid.T, r *lab.Router, program *ir.Program, packets, toHost []packet.Packet) (forwarded, guarded int) {
	t.Helper()
	f := program.Family
	// A failure, too, leaves nothing to the next try.
	defer scrub(t, r.Namespace, r.Backend, f)
	p.load(t, r.Namespace, r.Backend, program)
	p.compareSaved(t, r, program)
	fare := func(start string, packets []packet.Packet) int {
		t.Helper()
		found, asked := p.disagreements(t, r, f, start, packets)
		if len(found) > 0 {
			t.Fatalf("%s: %d of %d packets fare otherwise than the algebra says, such as\n%s\nby this policy:\n%s\nand these rules:\n%s",
				start, len(found), asked, found[0], p.text, p.files[rulesFile(int(f), "restore")])
		}
		return asked
	}
	forwarded = fare(p.state.Target, packets)
	if program.HasGuard() {
		p.throughGuard(r, f, func() { guarded = fare(ir.GuardChain, toHost) })
	}
	p.remove(t, r.Namespace, r.Backend, program)
	for name, rules := range chainsOf(t, f, r.IPTablesSave(r.Backend, int(f), "filter")) {
		if name != "FORWARD" && len(rules) > 0 || strings.HasPrefix(name, "DOCKERFW") {
			t.Fatalf("%s, %s: removal leaves chain %s: %q\n%s", r.Backend, f, name, rules, p.text)
		}
	}
	return forwarded, guarded
}

// throughGuard lets the router send packets by the guard meanwhile.
func (p *policy) throughGuard(r *lab.Router, f ir.Family, do func()) {
	r.Lead(f, ir.GuardChain)
	defer r.Lead(f, "DOCKER-USER")
	do()
}

// compareSaved compares the rules that a host saves with those that were loaded.
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
			t.Fatalf("%s, %s, chain %s (-emitted +saved):\n%s\n%s", r.Backend, program.Family, name, diff, p.text)
		}
	}
}

// chainsOf are the rules that a host's chains have once the texts are loaded, in the
// one spelling that does not depend on the host's /etc/protocols.
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

// A rule that is not the policy's shows in the traffic: the test above can fail.
func TestTrafficShowsRulesThatAreNotThePolicys(t *testing.T) {
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
		t.Fatal("refused")
	}
	rules := p.files[emit.RulesFile4]
	random := rand.New(rand.NewPCG(1, 1))
	packets, toHost := randomPackets(random, ir.IPv4, 1500), drawPackets(random, ir.IPv4, 1500, true)
	program := p.programs[0]
	disagree := func(rules string) (found []string) {
		t.Helper()
		p.files[emit.RulesFile4] = rules
		p.load(t, r.Namespace, r.Backend, program)
		// One that disagrees is enough, and is among the first few hundred mostly.
		send := func(start string, packets []packet.Packet) {
			for chunk := range slices.Chunk(packets, 300) {
				if found, _ = p.disagreements(t, r, ir.IPv4, start, chunk); len(found) > 0 {
					return
				}
			}
		}
		send(p.state.Target, packets)
		if len(found) == 0 {
			p.throughGuard(r, ir.IPv4, func() { send(ir.GuardChain, toHost) })
		}
		p.remove(t, r.Namespace, r.Backend, program)
		return found
	}
	if found := disagree(rules); len(found) > 0 {
		t.Fatalf("without a fault: %s", found[0])
	}
	lines := strings.SplitAfter(rules, "\n")
	var own []int
	for i, line := range lines {
		// What is related to a connection and has a port is seen only with helpers.
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
			t.Errorf("%s: %d packets do not show it", strings.TrimSpace(name), len(packets))
		}
	}
}

// TestWitnessesOfDiffFareAsDiffSays sends the packet that diff shows for a change by
// the old rules and by the new ones.
func TestWitnessesOfDiffFareAsDiffSays(t *testing.T) {
	t.Parallel()
	routers := []*lab.Router{lab.NewRouter(t, lab.NFT), lab.NewRouter(t, lab.Legacy)}
	dir := t.TempDir()
	free, replayed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		before, ok := compilePolicy(t, dir, randompolicy.Text(t))
		after, ok2 := compilePolicy(t, dir, randompolicy.Text(t))
		if !ok || !ok2 {
			t.Skip("refused")
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
			replayed += len(list)
			for _, side := range []struct {
				name    string
				policy  *policy
				verdict func(diff.Change) packet.Verdict
			}{
				{"old", before, func(c diff.Change) packet.Verdict { return c.WitnessOld }},
				{"new", after, func(c diff.Change) packet.Verdict { return c.WitnessNew }},
			} {
				var got []packet.Verdict
				got, err := side.policy.fare(t, r, family, packets)
				if err != nil {
					t.Fatal(err)
				}
				for i, c := range list {
					if want := lab.Appears(c.Witness, side.verdict(c)); got[i] != want {
						t.Fatalf("%s\n%s rules: the kernel says %s, diff says %s\nold:\n%s\nnew:\n%s", c.Witness, side.name, got[i], want, before.text, after.text)
					}
				}
			}
		}
	})
	t.Logf("%d changes without conditions, %d witnesses sent", free, replayed)
	if replayed < free*3/4 {
		t.Errorf("only %d of %d witnesses were sent", replayed, free)
	}
}

// fare sends packets by a policy's rules of a family. A policy without that family
// leaves all of it to Docker.
func (p *policy) fare(t fataler, r *lab.Router, f ir.Family, packets []packet.Packet) ([]packet.Verdict, error) {
	for _, program := range p.programs {
		if program.Family == f {
			p.load(t, r.Namespace, r.Backend, program)
			defer scrub(t, r.Namespace, r.Backend, f)
		}
	}
	return r.Send(packets)
}
