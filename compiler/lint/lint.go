// Package lint finds rules, and parts of rules, that have no effect.
//
// In: policies of hosts that compile, and the addresses of their lists.
// Out: warnings and notes with places, exact: by the packet algebra, over all packets
// there can be. A fleet's finding holds on all hosts that have the block.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// Hosts returns what is found in the policies of all hosts.
func Hosts(policies []*parser.Policy, lists semantics.Lists) hcl.Diagnostics {
	f := &findings{blocks: map[blockKey]*block{}, parts: map[blockKey]*part{}}
	for _, p := range policies {
		f.host(p, lists)
	}
	f.report()
	f.sets(policies, lists)
	f.open(policies)
	return diag.Unique(f.diags)
}

// findings joins what is found on each host and in each family.
type findings struct {
	diags hcl.Diagnostics
	// blocks by place and name, parts by place; order is that of blocks.
	blocks map[blockKey]*block
	order  []*block
	parts  map[blockKey]*part
}

// blockKey tells blocks apart: for_each makes several at one place.
type blockKey struct {
	place hcl.Range
	name  string
}

func keyOf(r *parser.Rule) blockKey { return blockKey{r.DeclRange, r.Name.Value} }

// block is a deny or accept block as it fares everywhere.
type block struct {
	rule *parser.Rule
	// decides somewhere, matters somewhere, is needed somewhere to let packets in.
	possible, decides, matters, needed bool
	// guards tells that some host's guard is for a port because of it alone.
	guards    bool
	coveredBy []*parser.Rule
	losses    []*loss
	// beyond tells that the block names an interface that is not external, open that
	// default lets everyone through, and allows that it lets some through.
	beyond, open, allows bool
	parts                []*part
}

// part is one of several elements of a block's attribute.
type part struct {
	what    string
	rng     hcl.Range
	decides bool
}

func (f *findings) error(err error, p *parser.Policy) {
	f.diags = append(f.diags, diag.Warn(diag.CodeTooLarge, p.Host.DeclRange, "rules that cannot all be looked through",
		fmt.Sprintf("Whether each rule matters was not found out: %s.", err)))
}

// host looks at one host's policy in each of its families.
func (f *findings) host(p *parser.Policy, lists semantics.Lists) {
	rules := p.Rules
	if p.Egress != nil {
		rules = slices.Concat(rules, p.Egress.Rules)
	}
	byName := map[string]*parser.Rule{}
	named := portsNamed(p)
	for _, r := range rules {
		byName[string(r.Kind)+" "+r.Name.Value] = r
		if f.blocks[keyOf(r)] == nil {
			b := &block{rule: r}
			f.blocks[keyOf(r)] = b
			f.order = append(f.order, b)
		}
		b := f.blocks[keyOf(r)]
		b.guards = b.guards || p.Host.InputGuard && named.onlyBy(r)
		b.beyond = b.beyond || !external(p, r)
		b.open = b.open || p.Default.Action == parser.ActionReturn
		b.allows = b.allows || p.Default.Allow != nil
	}
	for _, family := range families(p) {
		if err := f.family(p, family, lists, byName); err != nil {
			f.error(err, p)
			return
		}
	}
}

func families(p *parser.Policy) []ir.Family {
	var out []ir.Family
	if p.Host.IPv4 {
		out = append(out, ir.IPv4)
	}
	if p.Host.IPv6 {
		out = append(out, ir.IPv6)
	}
	return out
}

// family notes how each block, and each part of one, fares in a family of a host:
// for what is forwarded, and for what ends at docker-proxy. What does something in
// either is not in vain.
func (f *findings) family(p *parser.Policy, family ir.Family, lists semantics.Lists, byName map[string]*parser.Rule) error {
	forwarded, guard := semantics.Programs(p, family, lists)
	if err := f.look(forwarded, byName); err != nil {
		return err
	}
	return f.look(guard, byName)
}

// look notes how blocks and their parts fare in one program.
func (f *findings) look(program *packet.Program, byName map[string]*parser.Rule) (err error) {
	defer packet.Catch(&err)
	if len(program.Chains[0].Rules) == 0 {
		return nil
	}
	probes := &packet.Program{Family: program.Family, Chains: []*packet.Chain{{Name: "parts"}}, Default: packet.Verdict{Kind: packet.Docker}, ToHost: program.ToHost}
	asked := f.ask(probes, byName)
	space, err := packet.New(program, probes)
	if err != nil {
		return err
	}
	e, parts := space.Programs()[0], space.Programs()[1]
	lints, err := e.Lints()
	if err != nil {
		return err
	}
	flaws := map[packet.Place]packet.Lint{}
	for _, l := range lints {
		flaws[l.At] = l
	}
	handled := map[*block]packet.Set{}
	for i, r := range program.Chains[0].Rules {
		rule := byName[r.Text]
		if rule == nil {
			continue // established and default
		}
		b := f.blocks[keyOf(rule)]
		l, flawed := flaws[packet.Place{Rule: i}]
		reaches := !flawed || l.Flaw >= packet.Redundant
		b.possible = b.possible || !flawed || l.Flaw > packet.Unreached
		b.decides = b.decides || reaches
		b.matters = b.matters || !flawed || l.Flaw == packet.Permitted
		b.needed = b.needed || !flawed
		if flawed && l.Flaw == packet.Covered && !program.ToHost {
			for _, by := range l.CoveredBy {
				other := byName[program.Rule(by).Text]
				if other != nil && !slices.ContainsFunc(b.coveredBy, func(o *parser.Rule) bool { return keyOf(o) == keyOf(other) }) {
					b.coveredBy = append(b.coveredBy, other)
				}
			}
		}
		if len(asked[b]) > 0 && reaches {
			set, err := e.Handled(packet.Place{Rule: i})
			if err != nil {
				return err
			}
			if h, ok := handled[b]; ok {
				set = set.Or(h)
			}
			handled[b] = set
		}
	}
	if err := f.denials(e, program.Family, byName); err != nil {
		return err
	}
	for b, set := range handled {
		for _, a := range asked[b] {
			a.part.decides = a.part.decides || !parts.Match(packet.Place{Rule: a.probe}).And(set).IsEmpty()
		}
	}
	return nil
}

// asked is a part of a block, and the probe that holds for its packets.
type asked struct {
	part  *part
	probe int
}

// ask adds a probe for each part of the blocks that have several.
func (f *findings) ask(probes *packet.Program, byName map[string]*parser.Rule) map[*block][]asked {
	out := map[*block][]asked{}
	add := func(b *block, what string, rng hcl.Range, c packet.Cond) {
		key := blockKey{rng, b.rule.Name.Value + " " + what}
		if f.parts[key] == nil {
			f.parts[key] = &part{what: what, rng: rng}
			b.parts = append(b.parts, f.parts[key])
		}
		chain := probes.Chains[0]
		out[b] = append(out[b], asked{f.parts[key], len(chain.Rules)})
		chain.Rules = append(chain.Rules, &packet.Rule{Matches: []packet.Cond{c}, Verdict: packet.Verdict{Kind: packet.Continue}})
	}
	for _, r := range byName {
		b := f.blocks[keyOf(r)]
		type named struct {
			what  string
			end   packet.End
			ports []parser.At[parser.Ports]
		}
		lists := []named{{"published port", packet.OriginalDestination, r.PublishedPorts}, {"container port", packet.Destination, r.ContainerPorts}}
		if probes.ToHost {
			lists = []named{{"published port", packet.Destination, r.PublishedPorts}}
		}
		for _, list := range lists {
			for _, p := range list.ports {
				if len(list.ports) > 1 {
					ranges := []ir.PortRange{{First: p.Value.First, Last: p.Value.Last}}
					add(b, list.what+" "+portText(p.Value), p.Range, packet.Port{End: list.end, Ranges: ranges})
				}
			}
		}
		if r.Source == nil || len(r.Source.Items) < 2 {
			continue
		}
		for _, item := range r.Source.Items {
			if item.Set == "" {
				add(b, "source "+rangeText(item.Literal), item.Range, packet.Addr{End: packet.Source, In: packet.NewAddrSet("", item.Literal.Prefixes())})
			}
		}
	}
	return out
}

// report says what was found of blocks, and of parts of those that are not in vain
// as a whole.
func (f *findings) report() {
	for _, b := range f.order {
		r := b.rule
		if b.decides {
			f.partlyDenied(b)
		}
		name := fmt.Sprintf("%s %q", r.Kind, r.Name.Value)
		switch {
		case !b.possible:
			f.warn(diag.CodeNeverMatches, r.Name.Range, name+" never matches",
				"No packet can be all that it asks for. Look for conditions that exclude each other, such as an address of one family and a protocol of the other, and for sets without an element.")
		case !b.decides:
			f.covered(b, name)
		case !b.matters && r.Log == nil:
			f.warn(diag.CodeRedundant, r.Name.Range, name+" is redundant",
				"Rules after it give all of its packets the same verdict. Take it out, or change what it should do otherwise."+b.keepGuarded())
		case !b.needed && !b.beyond && r.Kind == parser.KindAccept && r.Log == nil && len(r.PublishedPorts)+len(r.PublishedAddress) > 0:
			// Without published ports it would be about packets that Docker refuses. On an
			// interface that is not external it is not-external that says what to do.
			f.warn(diag.CodeAllowedAnyway, r.Name.Range, name+" has no effect: "+b.openedBy(),
				"Without it, all that it accepts would be accepted by other rules or left to Docker's rules by default. "+b.narrower()+b.keepGuarded())
		default:
			for _, p := range b.parts {
				if !p.decides {
					f.warn(diag.CodeCovered, p.rng, fmt.Sprintf("%s of %s has no effect", p.what, name),
						"Rules before this one, or its own other conditions, leave no packet to it. Take it out; dockerfw explain names the rule that matches its packets.")
				}
			}
		}
	}
}

// openedBy names what lets in the clients of an accept without effect.
func (b *block) openedBy() string {
	switch {
	case b.open:
		return "default lets everyone through"
	case b.allows:
		return "default.allow already admits its clients"
	}
	return "other rules admit its clients"
}

// narrower says what gives an accept that lets in nobody new something to do.
func (b *block) narrower() string {
	switch {
	case b.open:
		return "Take it out, or set action = \"drop\" in default, if nobody else is to come in."
	case b.allows:
		return "Take it out, or take its clients out of default.allow, if they are not to reach other ports."
	}
	return "Take it out, or narrow the rules that accept the same."
}

// undeny says how an accept that denies take as a whole gets something to do.
func (b *block) undeny() string {
	var parts []string
	for _, l := range b.losses {
		if b.rule.Source == nil || l.deny.Source == nil && l.deny.SourceNot == nil {
			return "Take the accept out, or narrow or take out the deny."
		}
		parts = append(parts, exception(l.deny, l.clients))
	}
	return strings.Join(parts, " ") + " Or take the accept out."
}

// covered says which rules leave a block nothing.
func (f *findings) covered(b *block, name string) {
	r := b.rule
	code, summary, detail := diag.CodeCovered, name+" is unreachable", "Rules before it match all of its packets. Take it out, or narrow those."
	onlyDenies := len(b.coveredBy) > 0 && !slices.ContainsFunc(b.coveredBy, func(o *parser.Rule) bool { return o.Kind != parser.KindDeny })
	if r.Kind == parser.KindAccept && onlyDenies {
		code, summary, detail = diag.CodeDenied, name+" is denied as a whole", "A deny is matched before every accept, and denies take all that this one would accept. "+b.undeny()
	}
	d := diag.Warn(code, r.Name.Range, summary, detail+b.keepGuarded())
	slices.SortFunc(b.coveredBy, func(a, b *parser.Rule) int {
		return cmp.Or(strings.Compare(a.DeclRange.Filename, b.DeclRange.Filename), cmp.Compare(a.DeclRange.Start.Byte, b.DeclRange.Start.Byte))
	})
	const shown = 4
	for i, by := range b.coveredBy {
		if i == shown {
			diag.WithRelated(d, fmt.Sprintf("and %d more", len(b.coveredBy)-shown), by.Name.Range)
			break
		}
		diag.WithRelated(d, fmt.Sprintf("%s %q takes its packets", by.Kind, by.Name.Value), by.Name.Range)
	}
	f.diags = append(f.diags, d)
}

func (f *findings) warn(code diag.Code, rng hcl.Range, summary, detail string) {
	f.diags = append(f.diags, diag.Warn(code, rng, summary, detail))
}
