package parser

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/parser/addrlist"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/nft"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// Limits of ipset 7.17 and its kernel interface.
const (
	maxHashSize   = 1 << 30
	maxMaxElem    = 1 << 31
	maxSetTimeout = 2147483 // seconds; more overflows milliseconds in 32 bits
)

// ipset decodes an ipset block.
func (e *evaluator) ipset(decl *hcl.Block) *Set {
	b := e.open(decl, ipsetSchema, e.ctx)
	s := &Set{
		Name:      At[string]{decl.Labels[0], decl.LabelRanges[0]},
		DeclRange: decl.DefRange,
		Type:      SetType(b.choice("type").Value),
		Managed:   b.flag("managed"),
	}
	b = b.in(string(s.Type))
	s.Entries = b.addresses("entries")
	s.Exclude = b.addresses("exclude")
	s.Files = b.texts("files")
	s.ExcludeFiles = b.texts("exclude_files")
	s.Members = b.members()
	s.Aggregate = b.flagOr("aggregate", s.Type == SetHashNet)
	s.HashSize = b.integer("hashsize")
	s.MaxElem = b.integer("maxelem")
	s.Timeout = b.integer("timeout")
	s.Counters = b.flag("counters")
	s.Comment = b.flag("comment")
	s.MinEntries = b.integer("min_entries")
	s.IPv6Name = b.ipv6Name(s)
	b.checkSet(s)
	if e.target == TargetNFTables {
		b.checkNFTSet(s)
	}
	return s
}

// checkNFTSet reports the attributes of a set that have no counterpart in nft.
func (b *block) checkNFTSet(s *Set) {
	for _, a := range []struct {
		name    string
		written bool
		because string
	}{
		{"hashsize", s.HashSize != nil, "nft sets of networks have no hash table."},
		{"timeout", s.Timeout != nil, "Entries of a set in nft have the timeout that the program which adds them gives to each."},
		{"counters", s.Counters, "dockerfw replaces the sets of nft when their content changes, and counts would begin anew."},
		{"comment", s.Comment, "dockerfw writes sets of nft without comments."},
	} {
		if a.written {
			b.error(diag.CodeConflict, b.rng(a.name), a.name+" with target = \"nftables\"", "%s Remove %s.", a.because, a.name)
		}
	}
	if s.Managed {
		return
	}
	if s.Type == SetList {
		b.error(diag.CodeConflict, b.rng("type"), "unmanaged list:set with target = \"nftables\"", "nft has no sets of sets, so that nobody can fill it. List the sets that it is to contain, each with managed = false.")
	}
	for _, name := range []At[string]{s.Name, s.IPv6Name} {
		if nft.IsKeyword(name.Value) {
			b.error(diag.CodeName, name.Range, fmt.Sprintf("bad name %q", name.Value), "nft reserves this word, so that no set can have it as its name. Choose another name, such as %q.", name.Value+"-set")
		}
	}
}

// checkSet checks what the attributes of a set mean together.
func (b *block) checkSet(s *Set) {
	if s.Type == SetHashIP && s.Aggregate {
		b.error(diag.CodeConflict, b.rng("aggregate"), "aggregate in a hash:ip set", "A hash:ip set contains single addresses, which cannot be merged into prefixes. Use type = \"hash:net\", or leave aggregate out.")
	}
	if s.Type == SetList && s.Managed && !b.has("members") {
		b.error(diag.CodeSchema, b.decl.DefRange, "list:set without members", "List the sets it contains: members = [ipset.a, ipset.b].")
	}
	if s.Managed {
		return
	}
	for _, name := range []string{"entries", "files", "exclude", "exclude_files", "members", "min_entries"} {
		if b.has(name) {
			b.error(diag.CodeUnmanagedFill, b.rng(name), name+" in an unmanaged set", "With managed = false dockerfw only creates the set if it is missing, and never fills or empties it. Leave one of the two out.")
		}
	}
}

// ipv6Name reads the name of the IPv6 set of an unmanaged one.
func (b *block) ipv6Name(s *Set) At[string] {
	name, ok := b.text("ipv6_name")
	if !ok {
		return At[string]{}
	}
	if s.Managed {
		b.error(diag.CodeConflict, name.Range, "ipv6_name in a managed set", "dockerfw fills this set and names it %s-v6. ipv6_name is for managed = false: the name that the set's owner has chosen.", s.Name.Value)
	} else if problem := checkSetName(name.Value); problem != "" {
		b.error(diag.CodeName, name.Range, fmt.Sprintf("bad name %q", name.Value), "%s", problem)
	}
	return name
}

// checkSetNames reports an IPv6 set with the name of another set on the host.
func (e *evaluator) checkSetNames(sets []*Set) {
	first := map[string]At[string]{}
	for _, s := range sets {
		first[s.Name.Value] = s.Name
	}
	for _, s := range sets {
		name := s.IPv6Name
		if name.Value == "" {
			continue
		}
		if other, dup := first[name.Value]; dup {
			e.diags = append(e.diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, name.Range, fmt.Sprintf("second set %q", name.Value), "A set on the host has addresses of one family, and no other set has its name. Write what the owner of the set calls its IPv6 set."),
				"the first one", other.Range))
			continue
		}
		first[name.Value] = name
	}
}

// members reads the sets of a list:set.
func (b *block) members() []At[string] {
	items, _ := b.list("members")
	var out []At[string]
	for _, it := range items {
		if it.IsNull() || it.Type() != setRefType {
			b.error(diag.CodeType, it.rng, "member is not an ipset", "members takes sets, such as ipset.office, but this is %s.", describe(it.Value))
			continue
		}
		name := it.EncapsulatedValue().(*setRef).name
		if slices.ContainsFunc(out, func(m At[string]) bool { return m.Value == name }) {
			b.error(diag.CodeDuplicate, it.rng, fmt.Sprintf("ipset.%s twice", name), "Remove one of them.")
			continue
		}
		out = append(out, At[string]{name, it.rng})
	}
	return out
}

// checkMembers checks the members of list:sets, once all sets are known.
func (e *evaluator) checkMembers(sets []*Set) {
	byName := map[string]*Set{}
	for _, s := range sets {
		byName[s.Name.Value] = s
	}
	for _, s := range sets {
		for _, m := range s.Members {
			if member := byName[m.Value]; member != nil && member.Type == SetList {
				e.error(diag.CodeConflict, m.Range, "list:set in a list:set", "The kernel does not nest them. List the members of ipset.%s instead.", m.Value)
			}
		}
	}
}

// addresses reads a list of literal addresses, prefixes and ranges.
func (b *block) addresses(name string) []At[netipx.IPRange] {
	items, _ := b.list(name)
	var out []At[netipx.IPRange]
	for _, it := range items {
		if r, ok := b.literal(it, name); ok {
			out = append(out, At[netipx.IPRange]{r, it.rng})
		}
	}
	return out
}

// literal reads one literal address.
func (b *block) literal(it item, attribute string) (netipx.IPRange, bool) {
	if it.IsNull() || !it.Type().IsPrimitiveType() || it.Type().FriendlyName() != "string" {
		hint := ""
		if it.Type() == cty.Number && !it.IsNull() {
			hint = " Write a port in published_ports or container_ports."
		}
		if it.Type() == setRefType {
			hint = " A set is not allowed here; list its addresses, or use the set in source, destination or allow."
		}
		b.error(diag.CodeType, it.rng, fmt.Sprintf("element of %s is not an address", attribute),
			"An address is a string, such as \"192.0.2.10\", but this is %s.%s", describe(it.Value), hint)
		return netipx.IPRange{}, false
	}
	text := it.AsString()
	r, problem := addrlist.ParseEntry(text)
	if problem == nil {
		return r, true
	}
	detail := problem.Detail
	if strings.HasPrefix(text, "ipset.") {
		detail = fmt.Sprintf("To refer to a set, write %s without quotes, or \"${%s}\" in JSON.", text, text)
	} else if slices.Contains(b.names["ipset"], text) {
		detail = fmt.Sprintf("To refer to the set of that name, write ipset.%s without quotes, or \"${ipset.%s}\" in JSON.", text, text)
		if slices.Contains([]string{"entries", "exclude", "published_address"}, attribute) {
			detail = fmt.Sprintf("ipset.%s is a set, and %s takes addresses only.", text, attribute)
		}
	} else if problem.Summary == "not an address" {
		if near := suggest.DidYouMean("ipset."+text, prefixed("ipset.", b.names["ipset"])); near != "" {
			detail += strings.ReplaceAll(near, "\"", "") + " A set is written without quotes."
		}
	}
	b.error(problem.Code, b.within(it.rng, text, problem.Offset, problem.Length), problem.Summary, "%s%s", detail, b.valueOf(it, detail))
	return netipx.IPRange{}, false
}

func prefixed(prefix string, names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, prefix+n)
	}
	return out
}

// operands reads a list of addresses and sets; nil when the attribute is absent.
func (b *block) operands(name string) *Addresses {
	items, ok := b.list(name)
	if !ok {
		return nil
	}
	out := &Addresses{Range: b.rng(name)}
	for _, it := range items {
		if it.Type() == setRefType && !it.IsNull() {
			out.Items = append(out.Items, Address{Range: it.rng, Set: it.EncapsulatedValue().(*setRef).name})
			continue
		}
		if r, ok := b.literal(it, name); ok {
			out.Items = append(out.Items, Address{Range: it.rng, Literal: r})
		}
	}
	return out
}
