package proof

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// LoadedNFT is what a host with nftables has after the text was loaded.
type LoadedNFT struct {
	Family ir.Family
	// Sets are those of the table, which have its chains, too.
	Table *nft.Table
	Sets  *netfilter.NFTSets
	// Cuts are shared with the proofs of other hosts; nil if there are none.
	Cuts *packet.Cuts
}

// LoadNFT returns the table of a host without tables after the text was loaded. Loading it again
// must change nothing, and loading the removal must leave nothing, however often.
func LoadNFT(text, removal []byte) (*nft.Table, error) {
	file, diags := nft.ParseFile(text, "the printed table")
	remove, removalDiags := nft.ParseFile(removal, "the printed removal")
	if diags = append(diags, removalDiags...); diags.HasErrors() {
		return nil, diags
	}
	host := &nft.Ruleset{}
	if err := load(host, remove, "removing from a host without the table"); err != nil {
		return nil, err
	}
	if len(host.Tables) > 0 {
		return nil, errors.New("removing from a host without the table leaves one")
	}
	if err := load(host, file, "loading"); err != nil {
		return nil, err
	}
	table := host.Table(ir.NFTFamily, ir.NFTTable)
	if len(host.Tables) != 1 || table == nil {
		return nil, fmt.Errorf("the text must have the table %s %s and no other", ir.NFTFamily, ir.NFTTable)
	}
	if err := load(host, file, "loading again"); err != nil {
		return nil, err
	}
	if again := host.Table(ir.NFTFamily, ir.NFTTable); len(host.Tables) != 1 || !table.SameAs(again) {
		return nil, errors.New("loading again changes the table")
	}
	if err := load(host, remove, "removing"); err != nil {
		return nil, err
	}
	if len(host.Tables) > 0 {
		return nil, errors.New("the removal leaves the table")
	}
	return table, checkTable(table)
}

func load(host *nft.Ruleset, file *nft.File, doing string) error {
	if diags := host.Load(file); diags.HasErrors() {
		return fmt.Errorf("%s: %w", doing, diags)
	}
	return nil
}

// checkTable returns an error unless the kernel uses the table, the base chains are those whose programs ProveNFT compares,
// and the rules of each chain are in the order of their phases.
func checkTable(t *nft.Table) error {
	if t.Dormant {
		return at(t.Range, "table %s %s is dormant: the kernel would ignore its rules", t.Family, t.Name)
	}
	if t.Chain(ir.NFTForward) == nil {
		return fmt.Errorf("chain %s is missing", ir.NFTForward)
	}
	for _, c := range t.Chains {
		known := c.Name == ir.NFTForward || c.Name == ir.NFTInput
		switch {
		case c.Hook == "" && !known:
		case !known:
			return at(c.Range, "chain %s is at the hook %s, where the policy has no rules", c.Name, c.Hook)
		case c.Type != "filter" || c.Hook != c.Name || c.Priority != ir.NFTPriority || c.Policy != "accept":
			return at(c.Range, "chain %s must be of type filter at the hook %s with priority %d and policy accept", c.Name, c.Name, ir.NFTPriority)
		}
		ids := make([]ir.RuleID, len(c.Rules))
		for i, r := range c.Rules {
			id, ok := ir.ParseComment(r.Comment)
			if !ok {
				return at(r.Range, "a rule without the comment of a rule of the policy: %s", r.Text())
			}
			ids[i] = id
		}
		if wrong := ir.CheckOrder(ids); wrong != nil {
			return at(c.Rules[wrong.Second].Range, "chain %s: %w", c.Name, wrong)
		}
	}
	return nil
}

func at(place hcl.Range, format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{place.Start.Line}, args...)...)
}

// ProveNFT returns an error if the verdict of the base chains of the table on any packet of the
// family, forwarded or to the host, differs from that of the policy. An accept of the table is
// the accept of the policy; with its end the packet continues with Docker's own rules.
func ProveNFT(policy *parser.Policy, lists *semantics.Lists, loaded LoadedNFT) error {
	for _, path := range Paths {
		if err := ProveNFTPath(policy, lists, loaded, path); err != nil {
			return err
		}
	}
	return nil
}

// ProveNFTPath is ProveNFT for the packets of one path. Both paths can be proved at the same time.
func ProveNFTPath(policy *parser.Policy, lists *semantics.Lists, loaded LoadedNFT, path Path) error {
	meaning, t := semantics.Of(policy, loaded.Family, lists), newNFTTranslator(policy, loaded)
	if path == Forwarded {
		if err := checkUnmanaged(policy, loaded); err != nil {
			return err
		}
		return compareNFT(loaded.Cuts, meaning.Forwarded(), t.program(ir.NFTForward))
	}
	loadedInput := t.program(ir.NFTInput)
	loadedInput.ToHost = true
	return compareNFT(loaded.Cuts, meaning.Input(), loadedInput)
}

func compareNFT(cuts *packet.Cuts, program, text *packet.Program) error {
	evaluated, err := evaluate(cuts, program, text)
	if err != nil {
		return err
	}
	defer cuts.Done(evaluated[0].Space())
	return mustEqual(evaluated[0], evaluated[1])
}

// checkUnmanaged returns an error unless the unmanaged sets of the family are empty, and others can
// add networks with timeouts to them.
func checkUnmanaged(policy *parser.Policy, loaded LoadedNFT) error {
	typ := "ipv4_addr"
	if loaded.Family == ir.IPv6 {
		typ = "ipv6_addr"
	}
	for _, name := range slices.Sorted(maps.Keys(unmanagedOf(policy, loaded.Family).names)) {
		s := loaded.Table.Sets[name]
		if s == nil {
			continue // no rule refers to it: otherwise the text would not load
		}
		if s.Map || s.Type != typ || !slices.Equal(s.Flags, []string{"interval", "timeout"}) || s.Addresses.Len() > 0 || len(s.Elem) > 0 {
			return at(s.Range, "the unmanaged set %s must be of type %s with flags interval,timeout and without elements", name, typ)
		}
	}
	return nil
}

// nftTranslator is the translator for tables of nft.
type nftTranslator struct {
	table     *nft.Table
	family    ir.Family
	sets      *netfilter.NFTSets
	unmanaged unmanagedSets
}

func newNFTTranslator(policy *parser.Policy, loaded LoadedNFT) *nftTranslator {
	t := &nftTranslator{table: loaded.Table, family: loaded.Family, unmanaged: unmanagedOf(policy, loaded.Family)}
	limits := limitsOf(policy, loaded.Family)
	counted := countedIn(loaded.Table)
	t.sets = loaded.Sets.Hiding(t.unmanaged.has).WithLimits(func(r *nft.Rule, l netfilter.NFTLimit) packet.Cond {
		id, _ := ir.ParseComment(r.Comment)
		if l.Set != "" && len(counted[l.Set]) != 1 {
			return nil // rules would share their counts
		}
		return limits[limitKey{id, strings.TrimSpace(l.Key + " " + l.Text())}]
	})
	return t
}

// limitKey is a rule of the policy and the text of one of its limits.
type limitKey struct {
	id   ir.RuleID
	text string
}

// limitsOf returns the conditions of package semantics for the limits of the policy. A limit with
// other numbers is none of them.
func limitsOf(policy *parser.Policy, f ir.Family) map[limitKey]packet.Cond {
	source, bits, mask := "ip saddr", 32, func(c *parser.Connections) int { return c.PrefixV4 }
	if f == ir.IPv6 {
		source, bits, mask = "ip6 saddr", 128, func(c *parser.Connections) int { return c.PrefixV6 }
	}
	out := map[limitKey]packet.Cond{}
	for _, r := range policy.AllRules() {
		id, over := ir.RuleID{Phase: ir.PhaseAccept, Name: r.Name.Value}, ""
		if r.Kind == parser.KindDeny {
			id.Phase, over = ir.PhaseDeny, "over "
		}
		if rate := r.Rate; rate != nil {
			unit := map[int]string{1: "second", 60: "minute", 3600: "hour", 86400: "day"}[rate.Limit.Seconds]
			text := fmt.Sprintf("limit rate %s%d/%s burst %d packets", over, rate.Limit.Count, unit, rate.Burst)
			if rate.PerSource {
				text = source + " " + text
			}
			out[limitKey{id, text}] = semantics.RateOf(r.Name.Value)
		}
		if c := r.Connections; c != nil {
			key := source
			if length := mask(c); length < bits {
				network := netip.PrefixFrom(netip.IPv6Unspecified(), length)
				if f == ir.IPv4 {
					network = netip.PrefixFrom(netip.IPv4Unspecified(), length)
				}
				key += " & " + netmask(network)
			}
			out[limitKey{id, fmt.Sprintf("%s ct count %s%d", key, over, c.Max)}] = semantics.ConnectionsOf(r.Name.Value)
		}
	}
	return out
}

// netmask returns the mask of the length of a prefix, as an address of its family.
func netmask(p netip.Prefix) string {
	b := p.Addr().AsSlice()
	for i := range p.Bits() {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a.String()
}

// countedIn returns the rules of the policy that count in each set: those with a verdict apart
// from those that only log.
func countedIn(t *nft.Table) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			use := r.Comment
			if n := len(r.Expr); n > 0 && r.Expr[n-1].Kind == "log" {
				use += " (log)"
			}
			for _, e := range r.Expr {
				body, _ := e.Body.(map[string]any)
				set, _ := body["set"].(string)
				if e.Kind != "set" {
					continue
				}
				name := strings.TrimPrefix(set, "@")
				if out[name] == nil {
					out[name] = map[string]bool{}
				}
				out[name][use] = true
			}
		}
	}
	return out
}

// program returns the program of a base chain; an empty one if there is none.
func (t *nftTranslator) program(start string) *packet.Program {
	chain := t.table.Chain(start)
	if chain == nil {
		return &packet.Program{Family: t.family, Default: packet.Verdict{Kind: packet.Docker}, Chains: []*packet.Chain{{Name: start}}}
	}
	p := t.sets.Program(chain, t.family)
	p.Default = packet.Verdict{Kind: packet.Docker} // the policy is accept: checkTable
	for _, c := range p.Chains {
		rules := t.table.Chain(c.Name).Rules
		for _, r := range c.Rules {
			for i, m := range r.Matches {
				r.Matches[i] = packet.Map(m, t.unmanaged.condition)
			}
			id, _ := ir.ParseComment(rules[r.At.Rule].Comment)
			r.Text = id.Comment()
		}
	}
	return p
}
