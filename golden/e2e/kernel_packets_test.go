//go:build linux

package e2e

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/emit/folder"
	rules "github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
)

// packetsSent is the number of packets for the rules of one family of a random policy.
const packetsSent = 220

// TestRandomPoliciesAgreeWithTheKernel loads compiled random policies on both
// backends, compares the saved rules with the compiled ones, sends packets, and removes the
// rules.
func TestRandomPoliciesAgreeWithTheKernel(t *testing.T) {
	t.Parallel()
	routers := []*lab.Router{lab.NewRouter(t, lab.NFT), lab.NewRouter(t, lab.Legacy)}
	dir := t.TempDir()
	policies, protections, fallbacks, inputFallbacks := 0, 0, 0, 0
	sent, input, fallback, inputFallback := map[lab.Backend]int{}, map[lab.Backend]int{}, map[lab.Backend]int{}, map[lab.Backend]int{}
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
			if program.ProtectsInput() {
				protections++
			}
			if hasFallback(program, rules.FallbackChain) {
				fallbacks++
			}
			if hasFallback(program, ir.InputChain) {
				inputFallbacks++
			}
			for _, r := range routers {
				got := p.loadSendRemove(t, r, program, packets, toHost)
				sent[r.Backend] += got.forwarded
				input[r.Backend] += got.input
				fallback[r.Backend] += got.fallback
				inputFallback[r.Backend] += got.inputFallback
			}
		}
	})
	t.Logf("%d policies; packets: %v; %d with INPUT protection, packets: %v; %d with fallback rules, packets: %v; %d with fallback rules for the host, packets: %v",
		policies, sent, protections, input, fallbacks, fallback, inputFallbacks, inputFallback)
	for _, r := range routers {
		if sent[r.Backend] < 200*policies {
			t.Errorf("%s: only %d policies, %d packets", r.Backend, policies, sent[r.Backend])
		}
		// Usually half of the policies have INPUT protection; of a few, none may have it.
		if policies >= 100 && protections < policies/4 || input[r.Backend] < 50*protections {
			t.Errorf("%s: only %d policies with INPUT protection, %d packets", r.Backend, protections, input[r.Backend])
		}
		if policies >= 100 && fallbacks < policies/4 || fallback[r.Backend] < 100*fallbacks {
			t.Errorf("%s: only %d policies with fallback rules, %d packets", r.Backend, fallbacks, fallback[r.Backend])
		}
		if policies >= 100 && inputFallbacks < policies/4 || inputFallback[r.Backend] < 50*inputFallbacks {
			t.Errorf("%s: only %d policies with fallback rules for the host, %d packets", r.Backend, inputFallbacks, inputFallback[r.Backend])
		}
	}
}

// sentPackets are the numbers of packets sent through the rules for forwarded packets, through
// the INPUT protection, and through the fallback rules of each alone.
type sentPackets struct{ forwarded, input, fallback, inputFallback int }

// loadSendRemove loads the rules of one family, compares the saved rules with the compiled
// ones, sends packets through them, and removes them.
func (p *policy) loadSendRemove(t *rapid.T, r *lab.Router, program *rules.Program, packets, toHost []packet.Packet) (sent sentPackets) {
	t.Helper()
	f := program.Family
	// After a failure, rapid tries smaller policies.
	defer scrub(t, r.Namespace, r.Backend, f)
	p.load(t, r.Namespace, r.Backend, program)
	p.compareSaved(t, r, program)
	check := func(through string, found []string, sent int) int {
		t.Helper()
		if len(found) > 0 {
			t.Fatalf("%s: the verdicts for %d of %d packets differ, for example\n%s\nPolicy:\n%s\nRules:\n%s",
				through, len(found), sent, found[0], p.text, p.files[rulesFile(int(f), "restore")])
		}
		return sent
	}
	compare := func(start string, packets []packet.Packet) int {
		t.Helper()
		found, sent := p.disagreements(t, r, f, start, packets)
		return check(start, found, sent)
	}
	sent.forwarded = compare(p.state.Target, packets)
	if program.ProtectsInput() {
		p.throughInputChain(t, r, program, func() { sent.input = compare(ir.InputChain, toHost) })
	}
	if hasFallback(program, rules.FallbackChain) {
		found, n := p.fallbackDisagreements(t, r, f, packets)
		sent.fallback = check("fallback rules", found, n)
	}
	if hasFallback(program, ir.InputChain) {
		p.throughInputChain(t, r, program, func() {
			found, n := p.inputFallbackDisagreements(t, r, f, toHost)
			sent.inputFallback = check("fallback rules for the host", found, n)
		})
	}
	p.remove(t, r.Namespace, r.Backend, program)
	for _, table := range tablesLoaded {
		for name, rules := range chainsOf(t, f, table, r.IPTablesSave(r.Backend, int(f), table)) {
			if name != "FORWARD" && len(rules) > 0 || strings.HasPrefix(name, "DOCKERFW") {
				t.Fatalf("%s, %s: chain %s of table %s remains after the removal: %q\n%s", r.Backend, f, name, table, rules, p.text)
			}
		}
	}
	return sent
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
	rules, removal := blocks(p.files[folder.RulesFile4]), blocks(p.files[folder.RulesRemoval4])
	random := rand.New(rand.NewPCG(1, 1))
	packets, toHost := randomPackets(random, ir.IPv4, 1500), drawPackets(random, ir.IPv4, 1500, true)
	// disagree replaces the block of a table. The fallback rules drop packets that wrong rules of
	// the filter table let through, so each of the tables is tested alone.
	disagree := func(table, block string) (found []string) {
		t.Helper()
		program := *p.programs[0]
		if table == "filter" {
			program.Fallback = nil
			p.files[folder.RulesFile4], p.files[folder.RulesRemoval4] = block, removal["filter"]
		} else {
			p.files[folder.RulesFile4], p.files[folder.RulesRemoval4] = rules["filter"]+block, removal["filter"]+removal["security"]
		}
		p.load(t, r.Namespace, r.Backend, &program)
		defer p.remove(t, r.Namespace, r.Backend, &program)
		// One packet is enough, and is mostly among the first few hundred.
		send := func(packets []packet.Packet, through func([]packet.Packet) ([]string, int)) {
			for chunk := range slices.Chunk(packets, 300) {
				if found, _ = through(chunk); len(found) > 0 {
					return
				}
			}
		}
		if table == "security" {
			send(packets, func(chunk []packet.Packet) ([]string, int) { return p.fallbackDisagreements(t, r, ir.IPv4, chunk) })
			if len(found) == 0 {
				p.throughInputChain(t, r, &program, func() {
					send(toHost, func(chunk []packet.Packet) ([]string, int) { return p.inputFallbackDisagreements(t, r, ir.IPv4, chunk) })
				})
			}
			return found
		}
		through := func(start string) func([]packet.Packet) ([]string, int) {
			return func(chunk []packet.Packet) ([]string, int) { return p.disagreements(t, r, ir.IPv4, start, chunk) }
		}
		send(packets, through(p.state.Target))
		if len(found) == 0 {
			p.throughInputChain(t, r, &program, func() { send(toHost, through(ir.InputChain)) })
		}
		return found
	}
	for _, table := range tablesLoaded {
		if found := disagree(table, rules[table]); len(found) > 0 {
			t.Fatalf("with the correct rules: %s", found[0])
		}
		lines := strings.SplitAfter(rules[table], "\n")
		faults := map[string]string{}
		for i, line := range lines {
			// Only a conntrack helper makes RELATED packets with ports.
			invisible := strings.HasPrefix(line, "-A DOCKERFW-PROXY -m conntrack --ctstate RELATED ")
			if strings.HasPrefix(line, "-A ") && !invisible {
				faults["without "+line] = strings.Join(slices.Delete(slices.Clone(lines), i, i+1), "")
			}
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
			if !strings.Contains(rules[table], pair[0]) {
				t.Errorf("%s is not in\n%s", pair[0], rules[table])
			}
			faults[pair[0]+" → "+pair[1]] = strings.ReplaceAll(rules[table], pair[0], pair[1])
		}
		for name, block := range faults {
			if len(disagree(table, block)) == 0 {
				t.Errorf("%s: %s: %d packets do not reveal it", table, strings.TrimSpace(name), len(packets))
			}
		}
	}
}

// validPolicy draws policies until one compiles: about one of three does, and of two at a time too few.
func validPolicy(t *rapid.T, dir string) *policy {
	for range 50 {
		if p, ok := compilePolicy(t, dir, randompolicy.Text(t)); ok {
			return p
		}
	}
	t.Skip("no policy compiles")
	return nil
}

// TestExamplePacketsOfDiffAgreeWithTheKernel sends the example packet of each change through
// the old rules and through the new ones.
func TestExamplePacketsOfDiffAgreeWithTheKernel(t *testing.T) {
	t.Parallel()
	routers := []*lab.Router{lab.NewRouter(t, lab.NFT), lab.NewRouter(t, lab.Legacy)}
	dir := t.TempDir()
	free, sent := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		before, after := validPolicy(t, dir), validPolicy(t, dir)
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
