package imported

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// policy is the blocks of both families.
type policy struct {
	external []string
	families []ir.Family
	returns  bool
	in, out  direction
	// egress: out has rules that refuse something.
	egress bool
	left   []left
	sets   *setNamer
}

// merge joins the blocks of the families. Blocks that differ only in their addresses are one.
func (p *policy) merge(byFamily map[ir.Family]direction) direction {
	if len(p.families) == 1 {
		return byFamily[p.families[0]]
	}
	a, b := byFamily[ir.IPv4], byFamily[ir.IPv6]
	out := direction{
		established: a.established || b.established, recheck: a.recheck && b.recheck, dropInvalid: a.dropInvalid || b.dropInvalid,
		accepts: a.accepts + b.accepts, returns: a.returns + b.returns,
	}
	rest := slices.Clone(b.blocks)
	for _, x := range a.blocks {
		i := slices.IndexFunc(rest, func(y *block) bool { return x.why == "" && key(x) == key(y) })
		if i < 0 {
			out.blocks = append(out.blocks, only(x))
			continue
		}
		both := *x
		both.rules = append(slices.Clone(x.rules), rest[i].rules...)
		both.literals.src = p.joined(x.literals.src, rest[i].literals.src)
		both.literals.dst = p.joined(x.literals.dst, rest[i].literals.dst)
		both.family = 0
		out.blocks = append(out.blocks, &both)
		rest = slices.Delete(rest, i, i+1)
	}
	for _, y := range rest {
		out.blocks = append(out.blocks, only(y))
	}
	out.rest = joinedRest(a.rest, b.rest)
	return out
}

var everyone = map[ir.Family]*packet.AddrSet{
	ir.IPv4: packet.NewAddrSet("", prefixes("0.0.0.0/0")), ir.IPv6: packet.NewAddrSet("", prefixes("::/0")),
}

// only restricts a block to its family, by an address if it has no other that does.
func only(x *block) *block {
	for _, a := range slices.Concat(x.literals.src, x.literals.dst) {
		if !a.not {
			return x
		}
	}
	if len(x.literals.icmp) > 0 || slices.Equal(x.literals.protocols, []uint8{1}) || slices.Equal(x.literals.protocols, []uint8{58}) {
		return x
	}
	one := *x
	one.literals.src = append(slices.Clone(x.literals.src), addresses{sets: []*packet.AddrSet{everyone[x.family]}})
	return &one
}

// key is a block without its addresses.
func key(x *block) string {
	l := x.literals
	var end strings.Builder
	for _, a := range l.src {
		end.WriteString(fmt.Sprint("s", a.not))
	}
	for _, a := range l.dst {
		end.WriteString(fmt.Sprint("d", a.not))
	}
	icmp := ""
	if len(l.icmp) > 0 || slices.Equal(l.protocols, []uint8{1}) || slices.Equal(l.protocols, []uint8{58}) {
		icmp = x.family.String() // the families have types of their own
	}
	limit, log := "", ""
	if x.limit != nil {
		limit = fmt.Sprint(*x.limit)
	}
	if x.log != nil {
		log = strings.Join(logAttributes(x.log), " ")
	}
	return fmt.Sprint(x.deny, x.reject, x.why, x.interfaces, x.outInterfaces, l.protocols, l.dports, l.sports, l.origins, l.original != nil, icmp, limit, log, end.String())
}

// joined joins the addresses of the families, condition by condition. Two sets whose entries are not
// known are one of the policy, with a name for each family.
func (p *policy) joined(a, b []addresses) []addresses {
	out := slices.Clone(a)
	for i := range out {
		if len(a[i].unknown) == 1 && len(b[i].unknown) == 1 {
			p.sets.pairs[a[i].unknown[0]] = b[i].unknown[0]
			out[i].sets = append(slices.Clone(a[i].sets), b[i].sets...)
			continue
		}
		out[i].sets = append(slices.Clone(a[i].sets), b[i].sets...)
		out[i].unknown = append(slices.Clone(a[i].unknown), b[i].unknown...)
	}
	return out
}

// compact joins consecutive blocks that differ in one list of addresses.
func compact(blocks []*block) []*block {
	var out []*block
	for _, x := range blocks {
		n := len(out) - 1
		if n < 0 || x.why != "" || x.limit != nil || x.note != "" || x.rules[len(x.rules)-1].Comment() != "" || key(out[n]) != key(x) ||
			out[n].rules[len(out[n].rules)-1].Comment() != "" {
			out = append(out, x)
			continue
		}
		a, b := &out[n].literals, &x.literals
		one := *out[n]
		switch {
		case oneList(a.src) && oneList(b.src) && sameAddresses(a.dst, b.dst):
			one.literals.src = []addresses{both(a.src[0], b.src[0])}
		case oneList(a.dst) && oneList(b.dst) && sameAddresses(a.src, b.src):
			one.literals.dst = []addresses{both(a.dst[0], b.dst[0])}
		default:
			out = append(out, x)
			continue
		}
		for _, r := range x.rules {
			if !slices.Contains(one.rules, r) {
				one.rules = append(one.rules[:len(one.rules):len(one.rules)], r)
			}
		}
		out[n] = &one
	}
	return out
}

// oneList reports whether an address must be in one list, and nothing else is said about it.
func oneList(all []addresses) bool { return len(all) == 1 && !all[0].not }

func both(a, b addresses) addresses {
	return addresses{sets: slices.Concat(a.sets, b.sets), unknown: slices.Concat(a.unknown, b.unknown)}
}

// joinedRest joins what happens to all other packets. A family that nothing is refused in is allowed
// as a whole.
func joinedRest(a, b refusal) refusal {
	switch {
	case a.action == packet.Docker && b.action == packet.Docker:
		return a
	case a.action == packet.Docker:
		b.allow = append(b.allow, addresses{sets: []*packet.AddrSet{everyone[ir.IPv4]}})
		return b
	case b.action == packet.Docker:
		a.allow = append(a.allow, addresses{sets: []*packet.AddrSet{everyone[ir.IPv6]}})
		return a
	}
	a.allow = append(a.allow, b.allow...)
	a.rules = append(slices.Clone(a.rules), b.rules...)
	return a
}
