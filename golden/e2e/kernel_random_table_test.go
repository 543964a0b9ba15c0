//go:build linux

package e2e

import (
	"math/rand/v2"
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
