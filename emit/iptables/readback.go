package iptables

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/addrlist"
	"github.com/dockerfw/dockerfw/parser/diag"
	text "github.com/dockerfw/dockerfw/parser/iptables"
)

// Text is the printed text of tables.
type Text struct {
	// Rules and RulesRemoval have one text for each family.
	Rules, RulesRemoval map[ir.Family][]byte
	Sets, SetsRemoval   []byte
	// PrintSets prints the text of the sets, instead of Sets, if it is too large for memory.
	// SetsDigest is the SHA-256 of what follows its first line.
	PrintSets  func(io.Writer) error
	SetsDigest [sha256.Size]byte
}

// readSets returns a reader of the text of the sets, which must be closed. It ends with the error of
// PrintSets, if that fails.
func (t Text) readSets() io.ReadCloser {
	if t.PrintSets == nil {
		return memoryReader{bytes.NewReader(t.Sets)}
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(t.PrintSets(w)) }()
	return r
}

// memoryReader is a reader of text in memory, whose length the parser uses.
type memoryReader struct{ *bytes.Reader }

// Close does nothing.
func (memoryReader) Close() error { return nil }

// Loaded is the simulated state of a host after loading the text.
type Loaded struct {
	// Filter and Security are dockerfw's chains of these tables of each family.
	Filter, Security map[ir.Family]*text.Table
	Sets             *text.Sets
}

// ReadBack loads printed text into the tables of a simulated host, as iptables-restore and
// ipset restore would, and checks that
//
//   - the host then has exactly the rules and sets of t, in their order,
//   - the order of the phases is correct,
//   - loading again changes nothing (not checked with InstallInsert, where each load adds the
//     rules again),
//   - the removal files remove everything.
//
// Each failure is an internal error at the block of the rule or set.
func ReadBack(t *Tables, printed Text) (*Loaded, hcl.Diagnostics) {
	sets, err := LoadSets(t, printed)
	return ReadBackWith(t, printed, sets, err, nil)
}

// KnownLines are the lines of texts that were read back before, for hosts that have most of their rules in common.
type KnownLines = text.Known

// ReadBackWith is ReadBack with the result of [LoadSets] for the text of the sets, which hosts
// with equal text can share. known is nil for a host alone.
func ReadBackWith(t *Tables, printed Text, sets *LoadedSets, err error, known *KnownLines) (*Loaded, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	loaded := &Loaded{Filter: map[ir.Family]*text.Table{}, Security: map[ir.Family]*text.Table{}}
	var rng hcl.Range
	if err == nil {
		loaded.Sets = sets.Sets
		rng, err = sets.compare(t.Sets)
	}
	if err != nil {
		diags = append(diags, diag.Internal(rng, "printed sets: %s", err))
	}
	for _, p := range t.Programs {
		filter, security, rng, err := readRules(p, printed.Rules[p.Family], printed.RulesRemoval[p.Family], known)
		if err != nil {
			diags = append(diags, diag.Internal(rng, "printed %s rules: %s", p.Family, err))
		}
		loaded.Filter[p.Family], loaded.Security[p.Family] = filter, security
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return loaded, nil
}

// origin returns the range in the policy for an error about a chain as a whole.
func origin(c *Chain) hcl.Range {
	if len(c.Rules) == 0 {
		return hcl.Range{}
	}
	return c.Rules[0].Origin.Range
}

// hostChains returns the tables of a host before dockerfw's rules are loaded. The security
// table is empty.
func hostChains(p *Program) string {
	return "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:" + p.Target + " - [0:0]\n-A FORWARD -j " + p.Target + "\nCOMMIT\n"
}

// jumps returns the jumps that the administrator or apply inserts, and that the removal files
// delete.
func jumps(p *Program) string {
	lines := "*filter\n"
	if p.Install == ir.InstallJump {
		lines += "-I " + p.Target + " -j " + p.Chains[0].Name + "\n"
	}
	if p.ProtectsInput() {
		lines += "-I INPUT 1 -j " + ir.InputChain + "\n"
	}
	lines += "COMMIT\n"
	if fallback := p.FallbackJumps(); len(fallback) > 0 {
		lines += "*security\n"
		for _, j := range fallback {
			lines += "-I " + j.From + " 1 -j " + j.To + "\n"
		}
		lines += "COMMIT\n"
	}
	return lines
}

// readRules returns dockerfw's chains of the filter and security tables after loading.
func readRules(p *Program, load, remove []byte, known *text.Known) (filter, security *text.Table, _ hcl.Range, _ error) {
	none := origin(p.Chains[0])
	fail := func(rng hcl.Range, err error) (filter, security *text.Table, _ hcl.Range, _ error) {
		return nil, nil, rng, err
	}
	host := text.NewRuleset(text.Family(p.Family))
	if err := loadRules(host, 1, []byte(hostChains(p)), known); err != nil {
		return fail(none, err)
	}
	times := 2
	if p.Install == ir.InstallInsert {
		times = 1
	}
	if err := loadRules(host, times, load, known); err != nil {
		return fail(none, err)
	}
	filter, rng, err := readTable("filter", p.Chains, host, p.Family)
	if err != nil {
		return fail(rng, err)
	}
	security, rng, err = readTable("security", p.Fallback, host, p.Family)
	if err != nil {
		return fail(rng, fmt.Errorf("security table: %w", err))
	}
	if err := onlyFallback(p, host); err != nil {
		return fail(none, err)
	}

	if err := loadRules(host, 1, []byte(jumps(p)), known); err != nil {
		return fail(none, err)
	}
	if err := loadRules(host, 1, remove, known); err != nil {
		return fail(none, fmt.Errorf("removal: %w", err))
	}
	for _, chain := range host.Table("filter").Chains {
		own := strings.HasPrefix(chain.Name, ir.OwnChain)
		if own || len(chain.Rules) > 0 && (chain.Name == p.Target || chain.Name == "INPUT") {
			return fail(none, fmt.Errorf("removal leaves chain %s with %d rules", chain.Name, len(chain.Rules)))
		}
	}
	if err := onlyFallback(&Program{}, host); err != nil {
		return fail(none, fmt.Errorf("removal: %w", err))
	}
	return filter, security, none, nil
}

// readTable returns the given chains of a table after loading; they must have the rules that
// were printed.
func readTable(name string, chains []*Chain, host *text.Ruleset, f ir.Family) (*text.Table, hcl.Range, error) {
	loaded := &text.Table{Name: name}
	for _, chain := range chains {
		have := host.Table(name).Chain(chain.Name)
		if rng, err := compareChain(chain, have, f); err != nil {
			return nil, rng, err
		}
		kept := *have
		kept.Rules = slices.Clone(have.Rules)
		loaded.Chains = append(loaded.Chains, &kept)
	}
	loaded.Index()
	return loaded, hcl.Range{}, nil
}

// onlyFallback reports tables other than filter and security, chains of the security table
// other than those of the fallback rules, and rules in its built-in chains.
func onlyFallback(p *Program, host *text.Ruleset) error {
	for _, t := range host.Tables {
		if t.Name == "filter" {
			continue
		}
		if t.Name != "security" {
			return fmt.Errorf("unexpected table %s", t.Name)
		}
		for _, c := range t.Chains {
			ours := slices.ContainsFunc(p.Fallback, func(f *Chain) bool { return f.Name == c.Name })
			if c.Policy == "" && !ours || c.Policy != "" && (len(c.Rules) > 0 || c.Policy != "ACCEPT") {
				return fmt.Errorf("unexpected rules in chain %s of the security table", c.Name)
			}
		}
	}
	return nil
}

// loadRules loads rules the given number of times.
func loadRules(host *text.Ruleset, times int, rules []byte, known *text.Known) error {
	parse := text.ParseRules
	if known != nil {
		parse = known.ParseRules
	}
	file, diags := parse(bytes.NewReader(rules), "printed text")
	for i := 0; i < times && !diags.HasErrors(); i++ {
		diags = host.Load(file)
	}
	if diags.HasErrors() {
		return diags
	}
	return nil
}

// compareChain reports the first difference between a loaded chain and the one that was
// printed, and rules whose phases are out of order.
func compareChain(want *Chain, have *text.Chain, f ir.Family) (hcl.Range, error) {
	none := origin(want)
	if have == nil {
		return none, fmt.Errorf("chain %s is missing", want.Name)
	}
	var got []*Rule
	var ids []ir.RuleID
	for _, r := range have.Rules {
		rule, err := readRule(r, f)
		if err != nil {
			return none, fmt.Errorf("chain %s: %q: %w", want.Name, r.Text, err)
		}
		got, ids = append(got, rule), append(ids, rule.ID)
	}
	if err := ir.CheckOrder(ids); err != nil {
		return none, fmt.Errorf("chain %s: %w", want.Name, err)
	}
	for i, rule := range want.Rules {
		if i >= len(got) {
			return rule.Origin.Range, fmt.Errorf("chain %s: rule %d, %q, is missing", want.Name, i+1, rule.ID.Comment())
		}
		if !sameRule(got[i], rule) {
			return rule.Origin.Range, fmt.Errorf("chain %s: rule %d is not %q but %q: %s", want.Name, i+1, rule.ID.Comment(), got[i].ID.Comment(), have.Rules[i].Text)
		}
	}
	if len(got) > len(want.Rules) {
		return none, fmt.Errorf("chain %s: unexpected rule %q at the end", want.Name, got[len(want.Rules)].ID.Comment())
	}
	return none, nil
}

// sameRule reports whether two rules have the same identity, matches and verdict.
func sameRule(a, b *Rule) bool {
	return a.ID == b.ID && reflect.DeepEqual(a.Verdict, b.Verdict) &&
		slices.EqualFunc(a.Matches, b.Matches, func(a, b Match) bool { return reflect.DeepEqual(a, b) })
}

// LoadedSets are the sets of a simulated host after loading their text.
type LoadedSets struct {
	Sets *text.Sets
	// removed are the sets that are left after the removal file.
	removed *text.Sets
}

// LoadSets loads the text of sets, twice, and then the removal file on a copy. It returns an
// error where ipset restore would fail. The sets share the memory of those of t that they are equal to.
func LoadSets(t *Tables, printed Text) (*LoadedSets, error) {
	known := map[string]addrlist.Ranges{}
	for _, s := range t.Sets {
		known[s.Name+temporarySuffix] = s.Prefixes.Ranges()
	}
	load := printed.readSets()
	defer load.Close()
	file, err := parseSets(load, known)
	if err == nil {
		// The parser stops at a command that ends the file, but all of it must be printed without an error.
		_, err = io.Copy(io.Discard, load)
	}
	if err != nil {
		return nil, err
	}
	out := &LoadedSets{Sets: &text.Sets{}, removed: &text.Sets{}}
	for range 2 {
		if diags := out.Sets.Load(file); diags.HasErrors() {
			return nil, diags
		}
	}
	removal, err := parseSets(bytes.NewReader(printed.SetsRemoval), nil)
	if err != nil {
		return nil, fmt.Errorf("removal: %w", err)
	}
	if diags := append(out.removed.Load(file), out.removed.Load(removal)...); diags.HasErrors() {
		return nil, fmt.Errorf("removal: %w", diags)
	}
	return out, nil
}

// compare returns an error if the loaded sets are not exactly those that were printed, or if
// the removal file leaves others than the unmanaged ones.
func (l *LoadedSets) compare(want []*Set) (hcl.Range, error) {
	var none hcl.Range
	if names := l.Sets.Names(); len(names) != len(want) {
		return none, fmt.Errorf("loading creates %d sets, not %d: %s", len(names), len(want), strings.Join(names, ", "))
	}
	for _, s := range want {
		if err := compareSet(s, l.Sets.Set(s.Name)); err != nil {
			return s.Origin.Range, fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	for _, s := range want {
		if removed := l.removed.Set(s.Name) == nil; removed != s.Managed {
			return s.Origin.Range, fmt.Errorf("set %s: removed is %t, managed is %t", s.Name, removed, s.Managed)
		}
	}
	return none, nil
}

func parseSets(sets io.Reader, known map[string]addrlist.Ranges) (*text.SetsFile, error) {
	file, diags := text.ParseKnownSets(sets, "printed text", known)
	if diags.HasErrors() {
		return nil, diags
	}
	return file, nil
}

// compareSet reports the first difference between a loaded set and the one that was printed.
func compareSet(want *Set, have *text.Set) error {
	switch {
	case have == nil:
		return errors.New("the set is missing")
	case have.Type != string(want.Type):
		return fmt.Errorf("the type is %s, not %s", have.Type, want.Type)
	case want.Type != ir.ListSet && (have.Family == "inet6") != (want.Family == ir.IPv6):
		return fmt.Errorf("the family is %s", have.Family)
	case want.Type != ir.ListSet && have.MaxElem != want.MaxElem:
		return fmt.Errorf("maxelem is %d, not %d", have.MaxElem, want.MaxElem)
	case have.Len() != want.Prefixes.Len()+len(want.Members):
		return fmt.Errorf("%d elements, not %d", have.Len(), want.Prefixes.Len()+len(want.Members))
	}
	if missing, ok := have.HasAll(want.Prefixes.All()); !ok {
		return fmt.Errorf("element %s is missing", missing)
	}
	for _, m := range want.Members {
		if !have.Has(text.Entry{Text: m}) {
			return fmt.Errorf("element %s is missing", m)
		}
	}
	return nil
}
