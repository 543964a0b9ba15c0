package packet

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// DefaultBudget is the number of nodes a space may make: about 500 MB. No space can make more.
const DefaultBudget = 1 << (refBits - 1)

// Space is what programs have in common that are compared: the classes into which their
// conditions divide the values of each field. Only sets of one space can be combined. A
// space is not safe for concurrent use.
type Space struct {
	columns  []*column
	opaque   map[string]fieldID
	time     fieldID  // the column for the time; 0 without conditions on it
	ends     []Until  // conditions on the time, sorted
	names    []string // interfaces that conditions list
	ifaces   *interfaces
	bounds6  *bounds // the IPv6 addresses where an interval begins
	d        *diagram
	made     map[condition]ref // the sets of conditions that were made
	owners   []*column         // by level
	byTurn   []*column         // in the order in which an example is chosen
	programs []*Evaluation
	budget   int
	// only is the family of all programs, 0 if they have several. The addresses of another
	// family are then not divided.
	only ir.Family
	// published: rules list more ports before DNAT than after it. Then the column of
	// original ports also holds the destination ports of packets without DNAT, which are
	// the same ports except for replies; otherwise the reverse. Either way the more
	// frequent condition is not about two columns, with DNAT and without.
	published bool
	// toHost: packets are for the host itself.
	toHost bool
	// addressSets are those of some classes, with so many spans.
	addressSets map[addressKey]*AddrSet
	keptSpans   int
}

// New returns the space of these programs, with the packets of each verdict. It fails with
// a *BudgetError if that takes too much memory or time; the budget is DefaultBudget.
func New(programs ...*Program) (*Space, error) { return WithBudget(DefaultBudget, programs...) }

// WithBudget is New with a lower limit on the number of nodes.
func WithBudget(nodes int, programs ...*Program) (*Space, error) {
	return newSpace(min(nodes, DefaultBudget), nil, programs)
}

func newSpace(nodes int, shared *Cuts, programs []*Program) (*Space, error) {
	s := &Space{opaque: map[string]fieldID{}, budget: nodes}
	for id := range fOpaque {
		s.columns = append(s.columns, newColumn(id, &fields[id]))
	}
	resolved := resolve(programs)
	for i, p := range resolved {
		if err := p.check(); err != nil {
			return nil, err
		}
		if p.ToHost != programs[0].ToHost {
			return nil, errors.New("INPUT and FORWARD programs cannot be compared with each other")
		}
		s.programs = append(s.programs, &Evaluation{space: s, Program: p, source: programs[i]})
	}
	s.published = publishes(resolved)
	s.toHost = len(programs) > 0 && programs[0].ToHost
	s.only = onlyFamily(programs)
	for _, p := range resolved {
		s.note(p)
	}
	s.cutColumns(shared)
	// The first order is nearly always good, and has all of the budget: with less, programs that need
	// more than that would be evaluated twice. A bad one of the others exceeds its share.
	var err error
	for i, order := range orders(s.columns) {
		budget := nodes / 4
		if i == 0 {
			budget = nodes
		}
		s.d = shared.diagram(budget)
		if err = s.attempt(order); err == nil {
			s.d.budget, s.d.steps = nodes, 0
			return s, nil
		}
	}
	shared.Done(s)
	err.(*BudgetError).Nodes = nodes
	return nil, err
}

// Catch, deferred, turns the panic of an operation on sets that ran out of budget into an
// error. Functions of this package that return an error do so themselves.
func Catch(err *error) {
	switch p := recover().(type) {
	case nil:
	case *BudgetError:
		*err = p
	default:
		panic(p)
	}
}

// Programs returns the programs of the space as given to New.
func (s *Space) Programs() []*Evaluation { return s.programs }

// Nodes returns how many nodes the space has made so far.
func (s *Space) Nodes() int { return len(s.d.nodes) }

func (s *Space) attempt(order []*column) (err error) {
	defer Catch(&err)
	s.made = map[condition]ref{}
	s.owners = nil
	level := uint32(0)
	for _, c := range order {
		c.level = level
		level += uint32(c.bits)
		for range c.bits {
			s.owners = append(s.owners, c)
		}
		for f := range c.families() {
			c.literals[f] = make([]ref, len(c.atoms[f]))
		}
	}
	for _, e := range s.programs {
		e.decide()
	}
	return nil
}

// publishes reports whether the programs list more original ports than destination ports.
func publishes(programs []*Program) bool {
	var named [OriginalDestination + 1]map[string]bool
	for i := range named {
		named[i] = map[string]bool{}
	}
	var key []byte
	for _, p := range programs {
		for _, r := range p.Rules() {
			Walk(All(r.Matches), func(c Cond) bool {
				if c, ok := c.(Port); ok {
					if key = spansKey(key[:0], portSpans(c.Ranges)); !named[c.End][string(key)] {
						named[c.End][string(key)] = true
					}
				}
				return true
			})
		}
	}
	return len(named[OriginalDestination]) > len(named[Destination])
}

// note collects the values that the conditions of a program list.
func (s *Space) note(p *Program) {
	for _, r := range p.Rules() {
		Walk(All(r.Matches), func(c Cond) bool {
			s.noteCond(c)
			if port, ok := c.(Port); ok && r.Verdict.Kind == Goto {
				s.columns[portOf[port.End]].gotos++
			}
			return true
		})
	}
}

func (s *Space) noteCond(c Cond) {
	switch c := c.(type) {
	case InSet, Not, All, Any:
		// Walk visits their conditions.
	case FamilyIs, State, Dir:
		// Their fields always have the same classes.
	case Addr:
		s.columns[addressOf[c.End]].addSet(c.In)
		if c.End == OriginalDestination {
			s.columns[fSource].addSet(c.In)
			s.columns[fDestination].addSet(c.In)
		}
	case Port:
		spans := portSpans(c.Ranges)
		s.columns[portOf[c.End]].addSpans(0, spans)
		switch {
		case c.End == OriginalDestination:
			s.columns[fSourcePort].addSpans(0, spans)
			if !s.published {
				s.columns[fDestPort].addSpans(0, spans)
			}
		case c.End == Destination && s.published:
			s.columns[fOrigPort].addSpans(0, spans)
		}
	case Proto:
		s.columns[fProtocol].addSpans(0, protoSpans(c.Numbers...))
	case ICMPType:
		s.columns[fICMP].addSpans(0, c.spans())
		s.columns[fICMP].addSpans(1, c.spans())
	case Interface:
		s.names = append(s.names, c.Name)
	case Opaque:
		if _, ok := s.opaque[c.Text]; !ok {
			id := fieldID(len(s.columns))
			s.opaque[c.Text] = id
			s.columns = append(s.columns, newColumn(id, opaqueField(c.Text)))
		}
	case Until:
		s.noteUntil(c)
	default:
		panic(fmt.Sprintf("unknown condition %T", c))
	}
}

func portSpans(ranges []ir.PortRange) []span {
	spans := make([]span, 0, len(ranges))
	for _, r := range ranges {
		if r.First <= r.Last {
			spans = append(spans, span{uint32(r.First), uint32(r.Last)})
		}
	}
	return join(spans)
}

func protoSpans(numbers ...uint8) []span {
	spans := make([]span, 0, len(numbers))
	for _, n := range numbers {
		spans = append(spans, span{uint32(n), uint32(n)})
	}
	return join(spans)
}

func (c ICMPType) spans() []span {
	var spans []span
	for t := uint32(c.FirstType); t <= uint32(c.LastType) && c.FirstCode <= c.LastCode; t++ {
		spans = append(spans, span{t<<8 | uint32(c.FirstCode), t<<8 | uint32(c.LastCode)})
	}
	return join(spans)
}

// portProtocols are those whose packets have ports.
var portProtocols = protoSpans(ProtoTCP, ProtoUDP, ProtoSCTP)

// onlyFamily returns the family that all programs have, 0 if there is none.
func onlyFamily(programs []*Program) ir.Family {
	var family ir.Family
	for i, p := range programs {
		if i > 0 && p.Family != family {
			return 0
		}
		family = p.Family
	}
	return family
}

// cutColumns divides the values of all fields into classes.
func (s *Space) cutColumns(shared *Cuts) {
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	for i, name := range s.names {
		s.names[i] = strings.Clone(name) // examples have them, which would keep the text of all rules in memory
	}
	s.ifaces = newInterfaces(s.names)
	var addresses []*column
	for _, c := range s.columns {
		if len(c.sets) > 0 {
			addresses = append(addresses, c)
			continue
		}
		if c.field.atoms != nil {
			c.field.atoms(s, c)
		}
		if !c.field.addresses {
			c.divide(c.field.highest(s))
		}
	}
	shared.divide(s, addresses)
	for _, c := range s.columns {
		if c.field.addresses && len(c.sets) == 0 {
			c.divide(c.field.highest(s)) // as high as the other columns of addresses
		}
		for f := range c.families() {
			c.bits = max(c.bits, c.cut[f].bits())
		}
	}
	s.byTurn = slices.Clone(s.columns)
	slices.SortStableFunc(s.byTurn, func(a, b *column) int { return cmp.Compare(a.field.turn, b.field.turn) })
}

// divide divides the values of a field, up to the highest, into classes.
func (c *column) divide(highest [2]uint32) {
	for f := range c.families() {
		c.cut[f] = cut(c.atoms[f], highest[f])
	}
}

// index6 returns the index of the interval an address lies in.
func (s *Space) index6(a u128) uint32 {
	return uint32(s.bounds6.find(a))
}

func (s *Space) spans6(set *AddrSet) []span {
	out := make([]span, 0, len(set.v6))
	at := 0
	for _, x := range set.v6 {
		// A set with most of the bounds is walked along with them.
		for near := 0; near < 8 && at+1 < s.bounds6.len() && s.bounds6.at(at+1).Compare(x.First) <= 0; near++ {
			at++
		}
		if s.bounds6.at(at) != x.First {
			at = int(s.index6(x.First))
		}
		last := at
		for near := 0; near < 8 && last+1 < s.bounds6.len() && s.bounds6.at(last+1).Compare(x.Last) <= 0; near++ {
			last++
		}
		if last+1 < s.bounds6.len() && s.bounds6.at(last+1).Compare(x.Last) <= 0 {
			last = int(s.index6(x.Last))
		}
		out = append(out, span{uint32(at), uint32(last)})
		at = last
	}
	return join(out)
}
