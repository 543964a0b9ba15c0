//go:build linux

package e2e

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/nftpolicy"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
)

// tableTally counts what a run with target nftables has sent.
type tableTally struct {
	policies, withInput, forwarded, input int
}

// TestRandomPoliciesAgreeWithTheKernelWithTargetNFTables does with target nftables what
// TestRandomPoliciesAgreeWithTheKernel does with iptables: it loads the table of random policies, compares what nft
// lists with what was compiled, sends packets, and removes the table. A quarter of the policies have many rules.
func TestRandomPoliciesAgreeWithTheKernelWithTargetNFTables(t *testing.T) {
	t.Parallel()
	r := lab.NewTableRouter(t)
	version := r.MustRun("nft", "--version")
	dir := t.TempDir()
	var tally tableTally
	rapid.Check(t, func(t *rapid.T) {
		draw, packets := randompolicy.Text, drawPackets
		if rapid.IntRange(0, 3).Draw(t, "many") == 0 {
			draw, packets = randompolicy.Many, manyPackets
		}
		p, ok := compilePolicy(t, dir, nftpolicy.Text(draw(t)))
		if !ok {
			t.Skip("the policy has errors")
		}
		tally.policies++
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "packets"), 0))
		p.compareListed(t, r, version)
		tally.forwarded += p.sendThroughTable(t, r, ir.NFTForward, func(f ir.Family) []packet.Packet { return packets(random, f, packetsSent, false) })
		if p.state.Table().Chain(ir.NFTInput) != nil {
			tally.withInput++
			tally.input += p.sendThroughTable(t, r, ir.NFTInput, func(f ir.Family) []packet.Packet { return packets(random, f, packetsSent/2, true) })
		}
	})
	t.Logf("%d policies, %d packets; %d with chain input, %d packets", tally.policies, tally.forwarded, tally.withInput, tally.input)
	if tally.forwarded < 300*tally.policies || tally.input < 100*tally.withInput {
		t.Errorf("only %d policies, %d packets; %d with chain input, %d packets", tally.policies, tally.forwarded, tally.withInput, tally.input)
	}
	if tally.policies >= 100 && tally.withInput < tally.policies/4 {
		t.Errorf("only %d of %d policies have chain input", tally.withInput, tally.policies)
	}
}

// compareListed loads a table, and its removal, and compares what nft lists with the file.
func (p *policy) compareListed(t fataler, r *lab.Router, version string) {
	t.Helper()
	file := p.files[folder.NFTFile]
	p.loadNFT(t, r, file)
	defer func() {
		p.loadNFT(t, r, p.files[folder.NFTRemoval])
		if left := r.MustRun("nft", "list", "tables", ir.NFTFamily); left != "" {
			t.Fatalf("the removal leaves %s\n%s", left, p.text)
		}
	}()
	_, table, _ := strings.Cut(file, "flush table "+ir.NFTFamily+" "+ir.NFTTable+"\n")
	listed := r.MustRun("env", "TZ=UTC", "nft", "list", "table", ir.NFTFamily, ir.NFTTable)
	if diff := cmp.Diff(strings.Split(asListed(t, table, version), "\n"), strings.Split(listed, "\n")); diff != "" {
		t.Fatalf("-printed +listed by nft:\n%s\n%s", diff, p.text)
	}
}

// loadNFT loads a file of nft.
func (p *policy) loadNFT(t fataler, r *lab.Router, file string) {
	t.Helper()
	if _, _, err := r.Input(file, "nft", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s\n%s", err, p.text, file)
	}
}

// loadTable loads the table for packets through one of its base chains.
func (p *policy) loadTable(t fataler, r *lab.Router, chain string) {
	t.Helper()
	if err := r.LoadTable(p.files[folder.NFTFile], chain); err != nil {
		t.Fatalf("%v\n%s\n%s", err, p.text, p.files[folder.NFTFile])
	}
}

// sendThroughTable sends packets of both families through a base chain, and compares the verdicts of the kernel with
// those of package packet. A family that the policy does not have is left to Docker.
func (p *policy) sendThroughTable(t fataler, r *lab.Router, chain string, packets func(ir.Family) []packet.Packet) (sent int) {
	t.Helper()
	p.loadTable(t, r, chain)
	defer p.loadNFT(t, r, p.files[folder.NFTRemoval])
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		found, n := p.disagreements(t, r, f, chain, packets(f))
		if len(found) > 0 {
			t.Fatalf("chain %s: the verdicts for %d of %d packets differ, for example\n%s\nPolicy:\n%s\nTable:\n%s",
				chain, len(found), n, found[0], p.text, p.files[folder.NFTFile])
		}
		sent += n
	}
	return sent
}

// Packets find each wrong or missing rule of a table, so that the test above can fail.
func TestPacketsRevealWrongRulesOfATable(t *testing.T) {
	t.Parallel()
	r := lab.NewTableRouter(t)
	p, ok := compilePolicy(t, t.TempDir(), `
host {
  external_interfaces = ["eth0"]
  target              = "nftables"
  proxy_ports         = [80]
}
ipset "a" { entries = ["192.0.2.0/24"] }
established { sessions = "recheck" }
deny "one" {
  protocol = ["tcp", "udp"]
  source   = ["192.0.2.1"]
  action   = "reject"
}
accept "web" {
  protocol        = "tcp"
  published_ports = [443, "1000-2000"]
}
default { allow = [ipset.a] }
`)
	if !ok {
		t.Fatal("the policy has errors")
	}
	table := p.files[folder.NFTFile]
	defer func() { p.files[folder.NFTFile] = table }()
	random := rand.New(rand.NewPCG(1, 1))
	packets := map[string][]packet.Packet{
		ir.NFTForward: randomPackets(random, ir.IPv4, 1500), ir.NFTInput: drawPackets(random, ir.IPv4, 1500, true),
	}
	reveals := func(table string) (found []string) {
		p.files[folder.NFTFile] = table
		for _, chain := range []string{ir.NFTForward, ir.NFTInput} {
			p.loadTable(t, r, chain)
			for chunk := range slices.Chunk(packets[chain], 300) {
				if found, _ = p.disagreements(t, r, ir.IPv4, chain, chunk); len(found) > 0 {
					break
				}
			}
			p.loadNFT(t, r, p.files[folder.NFTRemoval])
			if len(found) > 0 {
				break
			}
		}
		return found
	}
	if found := reveals(table); len(found) > 0 {
		t.Fatalf("with the correct table: %s", found[0])
	}
	faults := map[string]string{}
	for rule := range strings.Lines(table) {
		// IPv6 is not sent, and only a conntrack helper makes RELATED packets with ports.
		if strings.Contains(rule, " comment ") && !strings.Contains(rule, "ip6 ") && !strings.Contains(rule, "\t\tct state related return") {
			faults["without "+strings.TrimSpace(rule)] = strings.Replace(table, rule, "", 1)
		}
	}
	for _, pair := range [][2]string{
		{"ct direction original", "ct direction reply"},
		{"proto-dst 443", "proto-dst 444"},
		{"1000-2000", "1000-1999"},
		{"!= @a", "@a"},
		{"ct status dnat ", ""},
		{"iifname \"eth0\"", "iifname \"eth1\""},
		{"ip saddr 192.0.2.1", "ip daddr 192.0.2.1"},
		{"drop comment", "return comment"},
		{"accept comment \"dockerfw accept web", "return comment \"dockerfw accept web"},
		{"icmpx admin-prohibited", "icmpx port-unreachable"},
		{"reject with tcp reset", "reject with icmpx admin-prohibited"},
		{"ct state related", "ct state new"},
	} {
		if !strings.Contains(table, pair[0]) {
			t.Errorf("%s is not in\n%s", pair[0], table)
		}
		faults[pair[0]+" → "+pair[1]] = strings.ReplaceAll(table, pair[0], pair[1])
	}
	for name, fault := range faults {
		if len(reveals(fault)) == 0 {
			t.Errorf("%s: the packets do not reveal it", name)
		}
	}
}
