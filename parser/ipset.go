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
	"github.com/dockerfw/dockerfw/parser/suggest"
)

var ipsetSchema = &hcl.BodySchema{Attributes: attributes(
	"type", "entries", "files", "exclude", "exclude_files", "aggregate",
	"hashsize", "maxelem", "timeout", "counters", "comment", "managed", "members",
)}

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
		Managed:   b.flag("managed", true),
	}
	s.Type = SetType(b.choice("type", string(SetHashNet), string(SetHashNet), string(SetHashIP), string(SetList)).Value)
	s.Entries = b.addresses("entries")
	s.Exclude = b.addresses("exclude")
	s.Files = b.texts("files", `["lists/friends.txt"]`)
	s.ExcludeFiles = b.texts("exclude_files", `["lists/not.txt"]`)
	s.Members = b.members()
	s.Aggregate = b.flag("aggregate", s.Type == SetHashNet)
	if s.Type == SetHashIP && b.has("aggregate") && s.Aggregate {
		b.error(diag.CodeConflict, b.rng("aggregate"), "aggregate in a hash:ip set", "A hash:ip set holds single addresses, which cannot be merged to prefixes. Use type = \"hash:net\", or leave aggregate out.")
	}
	s.HashSize = b.integer("hashsize", 1, maxHashSize)
	s.MaxElem = b.integer("maxelem", 1, maxMaxElem)
	s.Timeout = b.integer("timeout", 0, maxSetTimeout)
	s.Counters = b.flag("counters", false)
	s.Comment = b.flag("comment", false)

	addresses := []string{"entries", "files", "exclude", "exclude_files"}
	if s.Type == SetList {
		b.refuse("a list:set, which holds sets: put them into members", append(addresses, "aggregate", "hashsize", "maxelem")...)
		if !b.has("members") && s.Managed {
			b.error(diag.CodeSchema, b.header, "list:set without members", "Name the sets it holds: members = [ipset.a, ipset.b].")
		}
	} else {
		b.refuse(fmt.Sprintf("a %s set, which holds addresses: members is for type = \"list:set\"", s.Type), "members")
	}
	if !s.Managed {
		for _, name := range append(addresses, "members") {
			if b.has(name) {
				b.error(diag.CodeUnmanagedFill, b.rng(name), name+" in an unmanaged set", "managed = false leaves the set's content to somebody else: it is made when missing, and never filled or emptied. Leave one of the two out.")
			}
		}
	}
	return s
}

// refuse reports attributes that do not go with what the block is.
func (b *block) refuse(what string, names ...string) {
	for _, name := range names {
		if b.has(name) {
			b.error(diag.CodeConflict, b.rng(name), name+" does not apply", "This is %s.", what)
			delete(b.content.Attributes, name) // nothing more is to be said of it
		}
	}
}

// members reads the sets of a list:set.
func (b *block) members() []At[string] {
	items, _ := b.list("members", "[ipset.office, ipset.vpn]")
	var out []At[string]
	for _, it := range items {
		if it.IsNull() || it.Type() != setRefType {
			b.error(diag.CodeType, it.rng, "member is not an ipset", "members takes sets, such as ipset.office, and this is %s.", describe(it.Value))
			continue
		}
		name := it.EncapsulatedValue().(*setRef).name
		if slices.ContainsFunc(out, func(m At[string]) bool { return m.Value == name }) {
			b.error(diag.CodeDuplicate, it.rng, fmt.Sprintf("ipset.%s twice", name), "Take one of them out.")
			continue
		}
		out = append(out, At[string]{name, it.rng})
	}
	return out
}

// checkMembers checks what list:sets hold, once all sets are known.
func (e *evaluator) checkMembers(sets []*Set) {
	byName := map[string]*Set{}
	for _, s := range sets {
		byName[s.Name.Value] = s
	}
	for _, s := range sets {
		for _, m := range s.Members {
			if member := byName[m.Value]; member != nil && member.Type == SetList {
				e.error(diag.CodeConflict, m.Range, "list:set in a list:set", "The kernel does not nest them. Name the members of ipset.%s instead.", m.Value)
			}
		}
	}
}

// addresses reads a list of literal addresses, prefixes and ranges.
func (b *block) addresses(name string) []At[netipx.IPRange] {
	items, _ := b.list(name, `["192.0.2.10", "198.51.100.0/24"]`)
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
			hint = " A port belongs into published_ports or container_ports."
		}
		if it.Type() == setRefType {
			hint = " A set cannot be part of it; name its addresses, or put the set into source, destination or allow."
		}
		b.error(diag.CodeType, it.rng, fmt.Sprintf("element of %s is not an address", attribute),
			"An address is a string, such as \"192.0.2.10\", and this is %s.%s", describe(it.Value), hint)
		return netipx.IPRange{}, false
	}
	text := it.AsString()
	r, problem := addrlist.ParseEntry(text)
	if problem == nil {
		return r, true
	}
	detail := problem.Detail
	if strings.HasPrefix(text, "ipset.") {
		detail = fmt.Sprintf("To name a set, write %s without quotes, or \"${%s}\" in JSON.", text, text)
	} else if slices.Contains(b.names["ipset"], text) {
		detail = fmt.Sprintf("For the set of that name write ipset.%s without quotes, or \"${ipset.%s}\" in JSON.", text, text)
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
	items, ok := b.list(name, `[ipset.friends, "192.0.2.10"]`)
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
