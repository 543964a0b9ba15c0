package snapshot

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser/iptables"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// TableTitle is the table of dockerfw in messages.
const TableTitle = "table " + ir.NFTFamily + " " + ir.NFTTable

// ownTable is the name of the table of dockerfw in positions and hooks.
const ownTable = "nft " + ir.NFTFamily + " " + ir.NFTTable

// Table returns the table of nft that belongs to dockerfw; nil if the host has none.
func (h *Host) Table() *nft.Table { return h.NFT.Table(ir.NFTFamily, ir.NFTTable) }

// NFTables reports whether the rules of dockerfw are in a table of nft: those of a host of target
// nftables. A host that has them in the tables of iptables as well counts as one.
func (h *Host) NFTables() bool { return h.Table() != nil }

// IsOwnTable reports whether a position is in the table of dockerfw.
func IsOwnTable(at packet.Origin) bool { return at.Table == ownTable }

// chainsOfTable are the chains of the table with the rules of a scope. Those of ScopeForward and
// ScopeInput are base chains.
var chainsOfTable = [...]string{
	ir.ScopeForward: ir.NFTForward, ir.ScopeEgress: ir.NFTEgress, ir.ScopeInput: ir.NFTInput,
	ir.ScopeProxy: ir.NFTProxy, ir.ScopeHost: ir.NFTHost,
}

// ChainOf is the chain with the rules of dockerfw of a scope.
func (h *Host) ChainOf(s ir.Scope) string {
	switch {
	case h.NFTables():
		return chainsOfTable[s]
	case s == ir.ScopeForward && h.Install == ir.InstallJump:
		return identity.OwnPrefix
	case s == ir.ScopeForward:
		return h.Target
	}
	return (&ir.Ruleset{}).ChainOf(s)
}

// IsChainOf reports whether a chain has the rules of a scope, with either target. It is not for
// ScopeForward, whose chain has other names, too.
func IsChainOf(s ir.Scope, chain string) bool {
	return chain == chainsOfTable[s] || chain == (&ir.Ruleset{}).ChainOf(s)
}

// HasScope reports whether the host has the chain with the rules of a scope.
func (h *Host) HasScope(f ir.Family, s ir.Scope) bool { return h.HasChain(f, h.ChainOf(s)) }

// OwnChain is the chain where packets of a path get to the rules of dockerfw.
func (h *Host) OwnChain(path Path) string {
	if path == ToHost {
		return h.ChainOf(ir.ScopeInput)
	}
	return h.EntryChain()
}

// HasChain reports whether a chain exists, in the table of dockerfw or in the filter table.
func (h *Host) HasChain(f ir.Family, name string) bool {
	return h.Table().Chain(name) != nil || h.Filter(f).Chain(name) != nil
}

// ChainRules are the rules of a chain of the table of dockerfw, or else of the filter table. Of the
// table it has those that packets of the family can match.
func (h *Host) ChainRules(f ir.Family, name string) []*Rule {
	var out []*Rule
	if c := h.Table().Chain(name); c != nil {
		for _, r := range c.Rules {
			if ofFamilyOnly := onlyFamily(r); ofFamilyOnly == 0 || ofFamilyOnly == f {
				out = append(out, &Rule{Chain: name, NFT: r, family: f})
			}
		}
		return out
	}
	if c := h.Filter(f).Chain(name); c != nil {
		for _, r := range c.Rules {
			out = append(out, &Rule{Chain: name, IPTables: r, family: f})
		}
	}
	return out
}

// onlyFamily is the family whose packets a rule of nft can match; 0 for both.
func onlyFamily(r *nft.Rule) ir.Family {
	for _, e := range r.Expr {
		body, _ := e.Body.(map[string]any)
		of := body["left"]
		switch e.Kind {
		case "match":
		case "set":
			of = body["elem"] // what a limit counts
		default:
			continue
		}
		switch word, _, _ := strings.Cut(nft.Value(of), " "); word {
		case "ip", "icmp":
			return ir.IPv4
		case "ip6", "icmpv6":
			return ir.IPv6
		}
		if nft.Value(body["left"]) == "meta nfproto" {
			families := map[any]ir.Family{"ipv4": ir.IPv4, "ipv6": ir.IPv6}
			if body["op"] == "!=" {
				families = map[any]ir.Family{"ipv4": ir.IPv6, "ipv6": ir.IPv4}
			}
			return families[body["right"]]
		}
	}
	return 0
}

// hasConditions reports whether a rule of nft matches by more than interfaces.
func hasConditions(r *nft.Rule) bool {
	return slices.ContainsFunc(r.Expr, func(e nft.Expr) bool {
		body, _ := e.Body.(map[string]any)
		left := nft.Value(body["left"])
		return e.Kind == "match" && left != "iifname" && left != "oifname" || e.Kind == "set" || e.Kind == "limit"
	})
}

// setsOfNFT are the sets that a rule of nft uses, by the names of the policy.
func setsOfNFT(r *nft.Rule) []string {
	var out []string
	for _, e := range r.Expr {
		body, _ := e.Body.(map[string]any)
		if name, ok := body["right"].(string); ok && e.Kind == "match" && strings.HasPrefix(name, "@") {
			if name = identity.SetOfTable(name[1:]); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// tableProgram is the program of a chain of the table and those that it leads to. At its end, packets
// are left to the rules of Docker and of the host. So are those to the host itself that the table
// accepts: its INPUT rules follow. The kernel ignores a dormant table.
func (h *Host) tableProgram(f ir.Family, start string) *packet.Program {
	key := programKey{f, ownTable, start}
	if p := h.programs[key]; p != nil {
		return p
	}
	first := h.Table().Chain(start)
	if h.Table().Dormant {
		first = &nft.Chain{Name: start}
	}
	p := h.nftSets().Program(first, f)
	if first.Policy != "drop" { // which somebody has set on a host
		p.Default = packet.Verdict{Kind: packet.Docker}
	}
	p.ToHost = h.ofInput(start)
	for _, c := range p.Chains {
		var rules []*packet.Rule
		for _, r := range c.Rules {
			rule := *r
			rule.Matches = flat(nil, r.Matches)
			if slices.ContainsFunc(rule.Matches, never) {
				continue // a rule for packets of the other family
			}
			if p.ToHost && r.Verdict.Kind == packet.Accept {
				rule.Verdict = packet.Verdict{Kind: packet.Docker}
			}
			rules = append(rules, &rule)
		}
		c.Rules = rules
	}
	if !p.ToHost {
		withInterfaces(p)
	}
	if h.programs == nil {
		h.programs = map[programKey]*packet.Program{}
	}
	h.programs[key] = p
	return p
}

// flat adds conditions without those that only join others, as the rules of iptables have them.
func flat(to, conds []packet.Cond) []packet.Cond {
	for _, c := range conds {
		if all, ok := c.(packet.All); ok {
			to = flat(to, all)
		} else {
			to = append(to, c)
		}
	}
	return to
}

// withInterfaces adds to the rules of a chain the interfaces of the only rule that leads there, as the
// rules of iptables have them.
func withInterfaces(p *packet.Program) {
	callers := map[string][]*packet.Rule{}
	for _, r := range p.Rules() {
		if r.Verdict.Chain != "" {
			callers[r.Verdict.Chain] = append(callers[r.Verdict.Chain], r)
		}
	}
	for _, c := range p.Chains {
		by := callers[c.Name]
		if len(by) != 1 {
			continue
		}
		for _, end := range []packet.End{packet.Source, packet.Destination} {
			i := slices.IndexFunc(by[0].Matches, func(m packet.Cond) bool { return ofInterface(m, end) })
			if i < 0 {
				continue
			}
			for _, r := range c.Rules {
				if !slices.ContainsFunc(r.Matches, func(m packet.Cond) bool { return ofInterface(m, end) }) {
					r.Matches = append([]packet.Cond{by[0].Matches[i]}, r.Matches...)
				}
			}
		}
	}
}

// ofInterface reports whether a condition lists the interfaces at an end of a packet.
func ofInterface(c packet.Cond, end packet.End) bool {
	return len(interfacesOf([]packet.Cond{c}, end)) > 0
}

// never reports whether no packet fulfills a condition.
func never(c packet.Cond) bool {
	any, ok := c.(packet.Any)
	return ok && len(any) == 0
}

// ofInput reports whether a chain of the table is for packets to the host itself.
func (h *Host) ofInput(chain string) bool {
	return chain == chainsOfTable[ir.ScopeInput] || chain == chainsOfTable[ir.ScopeProxy] || chain == chainsOfTable[ir.ScopeHost]
}

// nftSets are the sets of the table as conditions. Those of a host that something else fills have the
// elements that they have now.
func (h *Host) nftSets() *netfilter.NFTSets {
	if h.conditions != nil {
		return h.conditions
	}
	t := *h.Table()
	if !h.Kind.Compiled() {
		t.Sets = maps.Clone(t.Sets)
		for name, s := range t.Sets {
			if s.Changes && !s.Dynamic() {
				now := *s
				now.Changes = false
				t.Sets[name] = &now
			}
		}
	}
	h.conditions = netfilter.NewNFTSets(&t)
	for name, addresses := range h.conditions.Addresses() {
		addresses.Name = identity.SetOfTable(name)
	}
	return h.conditions
}

// OwnSets are the sets of the policy that the host has: ipsets, or those of the table of dockerfw in
// the same form, by the names of the policy. Sets that count for limits are not among them.
func (h *Host) OwnSets() *iptables.Sets {
	if !h.NFTables() {
		return h.Sets
	}
	h.readTableSets()
	return h.tableSets
}

// readTableSets reads the sets of the table, once.
func (h *Host) readTableSets() {
	if h.tableSets != nil {
		return
	}
	h.members = map[string]*packet.AddrSet{}
	known := h.nftSets().Addresses()
	file := &iptables.SetsFile{Name: TableTitle}
	t := h.Table()
	for _, name := range h.setNames() {
		s, called := t.Sets[name], identity.SetOfTable(name)
		family := familyOfSet(s)
		if s.Map || s.Dynamic() || family == "" {
			continue
		}
		var prefixes []netip.Prefix
		if members := known[name]; members != nil {
			h.members[called], prefixes = members, members.Prefixes(0)
		}
		add := &iptables.SetCommand{Op: iptables.SetAdd, Set: called}
		for _, p := range prefixes {
			for _, half := range halves(p) {
				add.Entries = append(add.Entries, iptables.Entry{Prefix: half})
			}
		}
		maxElem := iptables.SetOption{Name: "maxelem", Value: strconv.Itoa(max(65536, len(add.Entries)))}
		file.Commands = append(file.Commands, &iptables.SetCommand{
			Op: iptables.SetCreate, Set: called, Type: "hash:net", Options: []iptables.SetOption{{Name: "family", Value: family}, maxElem},
		}, add)
	}
	h.tableSets = &iptables.Sets{}
	h.tableSets.Load(file)
}

// setNames are the names of the sets of the table, sorted: of several with the same name in the policy
// the one that a rule uses, because the others are of earlier versions.
func (h *Host) setNames() []string {
	used := map[string]bool{}
	for _, c := range h.Table().Chains {
		for _, r := range c.Rules {
			for _, e := range r.Expr {
				body, _ := e.Body.(map[string]any)
				if name, ok := body["right"].(string); ok && strings.HasPrefix(name, "@") {
					used[name[1:]] = true
				}
			}
		}
	}
	chosen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(h.Table().Sets)) {
		called := identity.SetOfTable(name)
		if _, other := chosen[called]; !other || used[name] {
			chosen[called] = name
		}
	}
	return slices.Sorted(maps.Values(chosen))
}

// halves are a network as entries of an ipset, which has no network of length 0.
func halves(p netip.Prefix) []netip.Prefix {
	if p.Bits() > 0 {
		return []netip.Prefix{p}
	}
	upper := netip.MustParseAddr("128.0.0.0")
	if p.Addr().Is6() {
		upper = netip.MustParseAddr("8000::")
	}
	return []netip.Prefix{netip.PrefixFrom(p.Addr(), 1), netip.PrefixFrom(upper, 1)}
}

// familyOfSet is the family of a set of addresses as ipset names it; "" for a set of something else.
func familyOfSet(s *nft.Set) string {
	return map[string]string{"ipv4_addr": "inet", "ipv6_addr": "inet6"}[s.Type]
}

// tableLoadedOnto is what nft lists on another host after the table of h is loaded there, or removed
// if h has none. Unmanaged sets, and those that count for limits, keep their elements.
func (h *Host) tableLoadedOnto(host *Host) *nft.Ruleset {
	want, have := h.Table(), host.Table()
	if want == nil && have == nil {
		return host.NFT
	}
	out := &nft.Ruleset{}
	if host.NFT != nil {
		out.Tables = slices.Clone(host.NFT.Tables)
	}
	out.Tables = slices.DeleteFunc(out.Tables, func(t *nft.Table) bool { return t == have })
	if want == nil {
		return out
	}
	loaded := *want
	loaded.Sets = maps.Clone(want.Sets)
	for name, s := range loaded.Sets {
		if have == nil || !s.Changes {
			continue
		}
		if old := have.Sets[name]; old != nil {
			kept := *s
			kept.Addresses, kept.Elem = old.Addresses, old.Elem
			loaded.Sets[name] = &kept
		}
	}
	out.Tables = append(out.Tables, &loaded)
	return out
}

// tableWithMembersOf is what nft lists on h, where the sets of the table have the elements that those of
// the same name and type have on another host.
func (h *Host) tableWithMembersOf(other *Host) *nft.Ruleset {
	have := other.Table()
	out := &nft.Ruleset{Tables: slices.Clone(h.NFT.Tables)}
	for i, t := range out.Tables {
		if t != h.Table() || have == nil {
			continue
		}
		filled := *t
		filled.Sets = maps.Clone(t.Sets)
		for name, s := range filled.Sets {
			if there := have.Sets[name]; there != nil && there.Type == s.Type {
				filled.Sets[name] = there
			}
		}
		out.Tables[i] = &filled
	}
	return out
}

// readCompiledTable reads the file of a compiled folder of target nftables.
func (h *Host) readCompiledTable(manifest *folder.Manifest, content map[string][]byte, display func(string) string) (hcl.Diagnostics, error) {
	text, ok := content[folder.NFTFile]
	if !ok {
		return nil, fmt.Errorf("%s is missing, which has the rules of target nftables", folder.NFTFile)
	}
	for _, s := range manifest.Sets {
		if !s.Managed {
			h.Unmanaged[identity.SetOfTable(s.Name)] = true
		}
	}
	var err error
	if h.TableText, err = plan.ParseTable(text); err != nil {
		return nil, fmt.Errorf("%s: %w", display(folder.NFTFile), err)
	}
	read, diags := nft.ParseText(text, display(folder.NFTFile))
	if diags.HasErrors() {
		return diags, nil
	}
	h.NFT = read
	if h.Table() == nil {
		return diags, fmt.Errorf("%s has no %s", folder.NFTFile, TableTitle)
	}
	for _, c := range h.Table().Chains {
		for _, r := range c.Rules {
			datesAsListed(r)
		}
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if h.tableFilters(f) {
			h.families = append(h.families, f)
		}
	}
	return diags, nil
}

// datesAsListed writes the times in a rule as nft lists them in UTC. The file has them in seconds, which
// nft reads alike in every time zone.
func datesAsListed(r *nft.Rule) {
	for i, e := range r.Expr {
		body, _ := e.Body.(map[string]any)
		seconds, ok := body["right"].(json.Number)
		n, err := seconds.Int64()
		if e.Kind != "match" || !ok || err != nil || nft.Value(body["left"]) != "meta time" {
			continue
		}
		listed := maps.Clone(body)
		listed["right"] = time.Unix(n, 0).UTC().Format(time.DateTime)
		r.Expr[i].Body = listed
	}
}

// tableFilters reports whether packets of a family can match a rule of a base chain of the table: those
// of a policy for one family match it.
func (h *Host) tableFilters(f ir.Family) bool {
	return slices.ContainsFunc(h.Table().Chains, func(c *nft.Chain) bool {
		return c.Hook != "" && len(h.ChainRules(f, c.Name)) > 0
	})
}

// ForeignInTable are the rules in the table of dockerfw on a host that dockerfw did not make. Loading h,
// which is compiled, deletes them.
func (h *Host) ForeignInTable(host *Host) []*Rule {
	var out []*Rule
	for _, c := range host.Table().Chains {
		for _, r := range c.Rules {
			if rule := (&Rule{Chain: c.Name, NFT: r}); !rule.Ours() && !h.hasRule(rule) {
				out = append(out, rule)
			}
		}
	}
	return out
}

// TableHooks are the base chains of the table of dockerfw on a path: foreign ones that somebody added, which a
// load deletes, and then that of dockerfw. Which of them is first makes no difference to what gets through: each sees
// what the others accept.
func (h *Host) TableHooks(f ir.Family, path Path) []packet.Hook {
	var out []packet.Hook
	for _, hook := range inOrder(h.nftHooks(f, path), path) {
		if hook.Table == ownTable && !slices.Contains(chainsOfTable[:], hook.Chain) {
			out = append(out, hook)
		}
	}
	chain := h.OwnChain(path)
	return append(out, packet.Hook{Table: ownTable, Chain: chain, Program: h.Program(f, chain), Base: &packet.Base{Hook: hooksOnPath[path][1]}})
}

// UnfollowedBases are the foreign base chains of the table with hooks on no path, such as output.
func (h *Host) UnfollowedBases() []*nft.Chain {
	var out []*nft.Chain
	if t := h.Table(); t != nil && !t.Dormant {
		for _, c := range t.Chains {
			followed := slices.Contains(hooksOnPath[Forward], c.Hook) || slices.Contains(hooksOnPath[ToHost], c.Hook)
			if c.Hook != "" && !followed && (len(c.Rules) > 0 || c.Policy == "drop") {
				out = append(out, c)
			}
		}
	}
	return out
}

// hasRule reports whether the table has a rule in a chain, such as the jumps of a base chain.
func (h *Host) hasRule(r *Rule) bool {
	c := h.Table().Chain(r.Chain)
	return c != nil && slices.ContainsFunc(c.Rules, func(own *nft.Rule) bool { return own.Text() == r.Text() })
}
