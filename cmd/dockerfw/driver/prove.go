package driver

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/compiler/proof"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/emit/iptables"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// proofCache proves equal policies with equal text only once: the hosts of a fleet often
// differ only in their names.
type proofCache struct {
	addresses *semantics.Lists
	cuts      packet.Cuts
	mu        sync.Mutex
	// atOnce is how many parts of the proof of a host, each of a family and a path, run at a time.
	atOnce  int
	results map[Key]*proofResult
	// lines are those of hosts that were read back; nil for a single host that shares none.
	lines *Lines
	sets  map[textSum]*loadedSets
}

// loadedSets are the sets of a host after loading their text, which the hosts of a fleet often
// share although their rules differ.
type loadedSets struct {
	once       sync.Once
	loaded     *iptables.LoadedSets
	conditions *netfilter.Sets
	err        error
}

// maxLoaded is the number of different texts of sets that are kept: in a fleet whose hosts all
// have sets of their own they must not stay in memory.
const maxLoaded = 8

// load returns the sets after loading the text.
func (c *proofCache) load(t *iptables.Tables, text iptables.Text) *loadedSets {
	sum := newTextHash()
	writeSets(sum, text)
	writeBody(sum, text.SetsRemoval)
	key := sum.sum()
	c.mu.Lock()
	sets := c.sets[key]
	if sets == nil {
		if len(c.sets) == maxLoaded {
			clear(c.sets)
		}
		sets = &loadedSets{}
		c.sets[key] = sets
	}
	c.mu.Unlock()
	sets.once.Do(func() {
		if sets.loaded, sets.err = iptables.LoadSets(t, text); sets.err == nil {
			sets.conditions = netfilter.NewSets(sets.loaded.Sets, nil)
		}
	})
	return sets
}

type proofResult struct {
	once  sync.Once
	diags hcl.Diagnostics
}

// Lines are lines of compiled text that were read before: those that several hosts have are parsed once.
type Lines = iptables.KnownLines

// newProofCache returns the cache for that many hosts, which shares the lines if they are not nil. Two parts of the proof
// of a single host run at a time; with several, hosts are proved at the same time, and a proof takes memory.
func newProofCache(addresses *semantics.Lists, hosts int, lines *Lines) *proofCache {
	c := &proofCache{addresses: addresses, results: map[Key]*proofResult{}, sets: map[textSum]*loadedSets{}, lines: lines}
	if hosts == 1 {
		c.atOnce = 2
		return c
	}
	c.atOnce, c.cuts.Reuse = 1, true
	if lines == nil {
		c.lines = &Lines{}
	}
	return c
}

func (c *proofCache) prove(h Host) hcl.Diagnostics {
	result := c.result(h)
	result.once.Do(func() { result.diags = c.compareHost(h) })
	return result.diags
}

// result returns the result for a host, which may not be known yet.
func (c *proofCache) result(h Host) *proofResult {
	c.mu.Lock()
	defer c.mu.Unlock()
	result := c.results[h.key]
	if result == nil {
		result = &proofResult{}
		c.results[h.key] = result
	}
	return result
}

func (c *proofCache) compareHost(h Host) hcl.Diagnostics {
	if h.NFT != nil {
		return c.compareNFT(h)
	}
	return c.compare(h, iptablesText(h.Files))
}

// ProveBoth proves two hosts of different policies, as Prove does with each, which then knows the result. It takes less
// time if they have rules in common.
func ProveBoth(a, b Unproved) {
	ofA, ofB := a.pending.proofs.result(a.host), b.pending.proofs.result(b.host)
	ofA.once.Do(func() {
		together := false
		ofB.once.Do(func() {
			together = true
			ofA.diags, ofB.diags = compareBoth(a, b)
		})
		if !together {
			ofA.diags = a.pending.proofs.compareHost(a.host)
		}
	})
}

// Key identifies what a proof depends on, in this process, except for the lists, which are the same for all hosts. The
// fingerprint covers the policy without the host's name and without positions; the text is taken without the first line
// of each file, a comment with the host's name.
type Key struct {
	policy [sha256.Size]byte
	text   textSum
}

// proofKey returns the key of a policy and a text.
func proofKey(policy [sha256.Size]byte, text iptables.Text) Key {
	sum := newTextHash()
	for _, t := range [][]byte{
		text.Rules[ir.IPv4], text.Rules[ir.IPv6], text.RulesRemoval[ir.IPv4], text.RulesRemoval[ir.IPv6], text.SetsRemoval,
	} {
		writeBody(sum, t)
	}
	writeSets(sum, text)
	return Key{policy, sum.sum()}
}

// keyOf is proofKey for the files of a host.
func keyOf(h Host) Key {
	if h.NFT == nil {
		return proofKey(h.fingerprint, iptablesText(h.Files))
	}
	sum := newTextHash()
	for _, f := range h.Files {
		if f.Name != folder.ManifestFile {
			writeBody(sum, f.Content)
		}
	}
	return Key{h.fingerprint, sum.sum()}
}

// textSum is the sum of a textHash.
type textSum [2]uint64

// textSeeds make sums unpredictable: no policy can be written for two texts to have the same.
var textSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// textHash is a hash of 128 bits for this process. SHA-256 of the files of 1,000 hosts took a tenth of the time to
// compile them.
type textHash [2]maphash.Hash

func newTextHash() *textHash {
	var h textHash
	for i := range h {
		h[i].SetSeed(textSeeds[i])
	}
	return &h
}

// Write adds text to the hash; it has no errors.
func (h *textHash) Write(text []byte) (int, error) {
	for i := range h {
		_, _ = h[i].Write(text)
	}
	return len(text), nil
}

func (h *textHash) sum() textSum { return textSum{h[0].Sum64(), h[1].Sum64()} }

// writeBody writes the length of a text without its first line, and that text.
func writeBody(w io.Writer, text []byte) {
	_, body, _ := bytes.Cut(text, []byte("\n"))
	fmt.Fprintf(w, "%d\n", len(body))
	_, _ = w.Write(body) // a hash has no errors
}

// writeSets is writeBody for the text of the sets; of a large one it writes the digest.
func writeSets(w io.Writer, text iptables.Text) {
	if text.PrintSets == nil {
		writeBody(w, text.Sets)
		return
	}
	fmt.Fprintf(w, "%x\n", text.SetsDigest)
}

// iptablesText returns the files to prove: everything that iptables-restore and ipset read.
func iptablesText(files []folder.File) iptables.Text {
	t := iptables.Text{Rules: map[ir.Family][]byte{}, RulesRemoval: map[ir.Family][]byte{}}
	for _, f := range files {
		switch f.Name {
		case folder.SetsFile:
			if t.Sets = f.Content; f.Large != nil {
				t.PrintSets, t.SetsDigest = f.Large.Print, f.Large.BodyDigest()
			}
		case folder.SetsRemoval:
			t.SetsRemoval = f.Content
		case folder.RulesFile4:
			t.Rules[ir.IPv4] = f.Content
		case folder.RulesFile6:
			t.Rules[ir.IPv6] = f.Content
		case folder.RulesRemoval4:
			t.RulesRemoval[ir.IPv4] = f.Content
		case folder.RulesRemoval6:
			t.RulesRemoval[ir.IPv6] = f.Content
		}
	}
	return t
}

// compareNFT returns errors if the text of a host with target nftables does not load exactly its table, or if that treats
// any packet otherwise than the policy.
func (c *proofCache) compareNFT(h Host) hcl.Diagnostics {
	var text, removal []byte
	for _, f := range h.Files {
		switch f.Name {
		case folder.NFTFile:
			text = f.Content
		case folder.NFTRemoval:
			removal = f.Content
		}
	}
	table, err := proof.LoadNFT(text, removal)
	if err != nil {
		return hcl.Diagnostics{diag.Internal(h.Policy.Host.DeclRange, "the printed table: %s", err)}
	}
	if err := h.NFT.ReadBack(table); err != nil {
		return hcl.Diagnostics{diag.Internal(h.Policy.Host.DeclRange, "the printed table is not that of the rules: %s", err)}
	}
	sets := netfilter.NewNFTSets(table)
	return c.proveFamilies(h, []ir.Family{ir.IPv4, ir.IPv6}, func(f ir.Family, path proof.Path) error {
		switch {
		case slices.Contains(h.NFT.Families, f):
			return proof.ProveNFTPath(h.Policy, c.addresses, proof.LoadedNFT{Family: f, Table: table, Sets: sets, Cuts: &c.cuts}, path)
		case path == proof.Forwarded:
			return c.proveUntouched(table, sets, f) // on both paths
		}
		return nil
	})
}

// proveUntouched returns an error if the table does anything to a packet of a family that the host does not compile.
func (c *proofCache) proveUntouched(table *nft.Table, sets *netfilter.NFTSets, f ir.Family) error {
	for _, chain := range table.Chains {
		if chain.Hook == "" {
			continue
		}
		docker := packet.Verdict{Kind: packet.Docker}
		nothing := &packet.Program{Family: f, Default: docker, Chains: []*packet.Chain{{Name: chain.Name}}}
		loaded := sets.Program(chain, f)
		loaded.Default = docker
		space, err := c.cuts.New(nothing, loaded)
		if err != nil {
			return err
		}
		difference, err := packet.Compare(space.Programs()[0], space.Programs()[1], 1)
		if err != nil {
			return err
		}
		if !difference.Changed.IsEmpty() {
			p, _ := difference.Changed.Witness()
			return fmt.Errorf("the host does not compile the family, and chain %s decides about %s", chain.Name, p)
		}
	}
	return nil
}

// proveFamilies returns the errors of the proofs of some families of a host, of each the first one.
func (c *proofCache) proveFamilies(h Host, families []ir.Family, prove func(ir.Family, proof.Path) error) hcl.Diagnostics {
	errs := make([][]error, len(families))
	for i := range errs {
		errs[i] = make([]error, len(proof.Paths))
	}
	var group errgroup.Group
	group.SetLimit(c.atOnce)
	for k, path := range proof.Paths {
		for i, f := range families {
			group.Go(func() error {
				errs[i][k] = prove(f, path)
				return nil
			})
		}
	}
	_ = group.Wait() // the errors are in errs
	var diags hcl.Diagnostics
	for i, f := range families {
		if k := slices.IndexFunc(errs[i], func(err error) bool { return err != nil }); k >= 0 {
			diags = append(diags, diag.Internal(h.Policy.Host.DeclRange, "the printed %s rules: %s", f, errs[i][k]))
		}
	}
	return diags
}

// compare returns errors if the text does not load exactly the host's rules and sets, or if
// these treat any packet otherwise than the policy.
func (c *proofCache) compare(h Host, text iptables.Text) hcl.Diagnostics {
	read, diags := c.readBack(h, text)
	return c.proveRead(h, read, diags)
}

// proveRead adds to the diagnostics of reading a host back those of its proof, unless there are errors.
func (c *proofCache) proveRead(h Host, read readHost, diags hcl.Diagnostics) hcl.Diagnostics {
	if diags.HasErrors() {
		return diags
	}
	return append(diags, c.proveFamilies(h, read.families, func(f ir.Family, path proof.Path) error {
		return proof.ProveTogether(path, read.subject(f))[0]
	})...)
}

// compareBoth is compare for two hosts of different policies.
func compareBoth(a, b Unproved) (ofA, ofB hcl.Diagnostics) {
	proofsA, proofsB := a.pending.proofs, b.pending.proofs
	if a.host.NFT != nil || b.host.NFT != nil {
		return proofsA.compareHost(a.host), proofsB.compareHost(b.host)
	}
	var readA, readB readHost
	var group errgroup.Group
	group.Go(func() error {
		readA, ofA = proofsA.readBack(a.host, iptablesText(a.host.Files))
		return nil
	})
	readB, ofB = proofsB.readBack(b.host, iptablesText(b.host.Files))
	_ = group.Wait() // the errors are diagnostics
	if ofA.HasErrors() || ofB.HasErrors() {
		return proofsA.proveRead(a.host, readA, ofA), proofsB.proveRead(b.host, readB, ofB)
	}
	errs := map[ir.Family][]error{} // of b
	for _, f := range readB.families {
		errs[f] = make([]error, len(proof.Paths))
	}
	ofA = append(ofA, proofsA.proveFamilies(a.host, readA.families, func(f ir.Family, path proof.Path) error {
		if !slices.Contains(readB.families, f) {
			return proof.ProveTogether(path, readA.subject(f))[0]
		}
		both := proof.ProveTogether(path, readA.subject(f), readB.subject(f))
		errs[f][path] = both[1]
		return both[0]
	})...)
	return ofA, append(ofB, proofsB.proveFamilies(b.host, readB.families, func(f ir.Family, path proof.Path) error {
		if !slices.Contains(readA.families, f) {
			return proof.ProveTogether(path, readB.subject(f))[0]
		}
		return errs[f][path]
	})...)
}

// readHost is a host whose text was read back.
type readHost struct {
	families []ir.Family
	subject  func(ir.Family) proof.Subject
}

// readBack loads the text of a host. It returns errors if that are not exactly the host's rules and sets.
func (c *proofCache) readBack(h Host, text iptables.Text) (readHost, hcl.Diagnostics) {
	sets := c.load(h.Tables, text)
	loaded, diags := iptables.ReadBackWith(h.Tables, text, sets.loaded, sets.err, c.lines)
	if diags.HasErrors() {
		return readHost{}, diags
	}
	var out readHost
	forward := map[ir.Family]string{}
	for _, p := range h.Tables.Programs {
		out.families = append(out.families, p.Family)
		forward[p.Family] = p.Chains[0].Name
	}
	out.subject = func(f ir.Family) proof.Subject {
		return proof.Subject{Policy: h.Policy, Lists: c.addresses, Loaded: proof.Loaded{
			Family: f, Filter: loaded.Filter[f], Forward: forward[f],
			Security: loaded.Security[f], Sets: sets.conditions, Cuts: &c.cuts,
		}}
	}
	return out, diags
}
