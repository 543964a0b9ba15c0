//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/emit/folder"
	rules "github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// policy is a compiled policy: its files, and the state they describe.
type policy struct {
	text string
	// programs are those of target iptables.
	programs []*rules.Program
	files    map[string]string
	state    *snapshot.Host
}

// compilePolicy compiles a policy in a directory; ok is false if it has errors.
func compilePolicy(t fataler, dir, text string) (_ *policy, ok bool) {
	t.Helper()
	return compileFolded(t, dir, text, rules.Options{})
}

// compileFolded is compilePolicy with other options for folding.
func compileFolded(t fataler, dir, text string, fold rules.Options) (_ *policy, ok bool) {
	t.Helper()
	options := driver.Options{Fold: fold}
	path := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, options)
	if diags.HasErrors() {
		return nil, false
	}
	opened, diags, err := snapshot.Open(path, options)
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	p := &policy{text: text, files: map[string]string{}, state: opened.Hosts[0]}
	if tables := result.Hosts[0].Tables; tables != nil {
		p.programs = tables.Programs
	}
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

// load loads a policy's sets and the rules of one family, with the jumps.
func (p *policy) load(t fataler, host *lab.Namespace, b lab.Backend, program *rules.Program) {
	t.Helper()
	family := int(program.Family)
	p.must(t, b, host.IPTablesRestore(b, family, "*filter\n:"+program.Target+" - [0:0]\nCOMMIT\n"))
	p.must(t, b, host.IPSetRestore(p.files[folder.SetsFile]))
	p.must(t, b, host.IPTablesRestore(b, family, p.files[rulesFile(family, "restore")]))
	if program.Install == ir.InstallJump {
		p.must(t, b, host.IPTables(b, family, "-I", program.Target, "-j", program.Chains[0].Name))
	}
	if program.ProtectsInput() {
		p.must(t, b, host.IPTables(b, family, "-I", "INPUT", "1", "-j", ir.InputChain))
	}
	for _, j := range program.FallbackJumps() {
		p.must(t, b, jumpToFallback(host, b, family, "-A", j))
	}
}

// jumpToFallback adds (-A) or deletes (-D) a jump to the fallback rules.
func jumpToFallback(host *lab.Namespace, b lab.Backend, family int, command string, j rules.BuiltinJump) error {
	return host.IPTables(b, family, "-t", "security", command, j.From, "-j", j.To)
}

// hasFallback reports whether a program has fallback rules that begin in a chain.
func hasFallback(program *rules.Program, chain string) bool {
	return slices.ContainsFunc(program.Fallback, func(c *rules.Chain) bool { return c.Name == chain })
}

// scrub deletes everything that policies load, also after a failure.
func scrub(t fataler, host *lab.Namespace, b lab.Backend, f ir.Family) {
	t.Helper()
	for _, table := range tablesLoaded {
		text, deletions := "*"+table+"\n", ""
		chains := chainsOf(t, f, table, host.IPTablesSave(b, int(f), table))
		for _, builtin := range []string{"INPUT", "FORWARD"} {
			for _, rule := range chains[builtin] {
				if strings.HasPrefix(rule, "-j DOCKERFW") {
					text += "-D " + builtin + " " + rule + "\n"
				}
			}
		}
		for name := range chains {
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
	}
	host.MustRun("ipset", "flush") // members of a list:set cannot be destroyed
	host.MustRun("ipset", "destroy")
}

// remove loads the .remove files.
func (p *policy) remove(t fataler, host *lab.Namespace, b lab.Backend, program *rules.Program) {
	t.Helper()
	family := int(program.Family)
	p.must(t, b, host.IPTablesRestore(b, family, p.files[rulesFile(family, "remove")]))
	p.must(t, b, host.IPSetRestore(p.files[folder.SetsRemoval]))
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
	return p.disagreementsAs(t, r, f, start, packets, func(v packet.Verdict) packet.Verdict { return v })
}

// fallbackDisagreements does the same for the fallback rules alone: no packet passes the rules
// of the filter table, and those that these refuse are dropped all the same.
func (p *policy) fallbackDisagreements(t fataler, r *lab.Router, f ir.Family, packets []packet.Packet) (found []string, sent int) {
	t.Helper()
	return p.withoutFilter(t, r, f, p.state.Target, "DOCKER-USER", packets)
}

// inputFallbackDisagreements does the same for the fallback rules for packets to the host, which
// the router forwards. It is called by throughInputChain.
func (p *policy) inputFallbackDisagreements(t fataler, r *lab.Router, f ir.Family, packets []packet.Packet) (found []string, sent int) {
	t.Helper()
	jump := rules.BuiltinJump{From: "FORWARD", To: ir.InputChain}
	p.must(t, r.Backend, jumpToFallback(r.Namespace, r.Backend, int(f), "-A", jump))
	defer func() { p.must(t, r.Backend, jumpToFallback(r.Namespace, r.Backend, int(f), "-D", jump)) }()
	return p.withoutFilter(t, r, f, ir.InputChain, ir.InputChain, packets)
}

// withoutFilter is disagreements for the fallback rules of what begins in a chain of the filter
// table, while packets pass a chain without rules there; afterwards they pass another one again.
func (p *policy) withoutFilter(t fataler, r *lab.Router, f ir.Family, start, after string, packets []packet.Packet) (found []string, sent int) {
	t.Helper()
	const empty = "NO-RULES"
	p.must(t, r.Backend, r.IPTablesRestore(r.Backend, int(f), "*filter\n:"+empty+" - [0:0]\nCOMMIT\n"))
	r.SetChain(f, empty)
	defer r.SetChain(f, after)
	return p.disagreementsAs(t, r, f, start, packets, func(v packet.Verdict) packet.Verdict {
		if v.Kind == packet.Drop || v.Kind == packet.Reject {
			return packet.Verdict{Kind: packet.Drop}
		}
		return packet.Verdict{Kind: packet.Docker}
	})
}

// disagreementsAs is disagreements with another verdict in place of each of package packet.
func (p *policy) disagreementsAs(t fataler, r *lab.Router, f ir.Family, start string, packets []packet.Packet, as func(packet.Verdict) packet.Verdict) (found []string, sent int) {
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
		if want := lab.Observed(q, as(decision.Verdict)); got[i] != want {
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

// throughInputChain makes the router send packets through the chain of the INPUT protection, and
// not through the fallback rules for forwarded packets, while do runs.
func (p *policy) throughInputChain(t fataler, r *lab.Router, program *rules.Program, do func()) {
	t.Helper()
	f := program.Family
	r.SetChain(f, ir.InputChain)
	defer r.SetChain(f, "DOCKER-USER")
	if hasFallback(program, rules.FallbackChain) {
		jump := rules.BuiltinJump{From: "FORWARD", To: rules.FallbackChain}
		p.must(t, r.Backend, jumpToFallback(r.Namespace, r.Backend, int(f), "-D", jump))
		defer func() { p.must(t, r.Backend, jumpToFallback(r.Namespace, r.Backend, int(f), "-A", jump)) }()
	}
	do()
}

// compareSaved compares the rules that the host saves with those that were loaded.
func (p *policy) compareSaved(t *rapid.T, r *lab.Router, program *rules.Program) {
	t.Helper()
	family := int(program.Family)
	before := "*filter\n:" + program.Target + " - [0:0]\nCOMMIT\n"
	if program.Install == ir.InstallJump {
		before = "*filter\n:DOCKERFW - [0:0]\n:" + program.Target + " - [0:0]\n-A " + program.Target + " -j DOCKERFW\nCOMMIT\n"
	}
	for _, table := range tablesLoaded {
		want := chainsOf(t, program.Family, table, before, p.files[rulesFile(family, "restore")])
		got := chainsOf(t, program.Family, table, r.IPTablesSave(r.Backend, family, table))
		delete(want, "FORWARD") // the router's own, or has a jump of ours
		delete(want, "INPUT")   // has a jump of ours
		for name := range want {
			if diff := cmp.Diff(want[name], got[name]); diff != "" {
				t.Fatalf("%s, %s, table %s, chain %s (-compiled +saved):\n%s\n%s", r.Backend, program.Family, table, name, diff, p.text)
			}
		}
	}
}

// chainsOf returns the rules of each chain of a table after the texts are loaded, in the canonical
// form, which does not depend on the host's /etc/protocols.
func chainsOf(t fataler, f ir.Family, table string, texts ...string) map[string][]string {
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
	if host.Table(table) == nil {
		return out
	}
	for _, c := range host.Table(table).Chains {
		out[c.Name] = nil
		for _, r := range c.Rules {
			out[c.Name] = append(out[c.Name], host.Canonical(r))
		}
	}
	return out
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
