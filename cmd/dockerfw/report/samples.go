package report

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// locate finds where the clients of each column are, whatever they send.
func (g *grid) locate() {
	g.where, g.independent = g.space.Labels(), true
	for i, c := range g.clients {
		g.all = append(g.all, i)
		c.from = c.set.OfClients(g.unmanaged)
		g.where = g.where.Add(i, c.from)
		g.independent = g.independent && c.from.And(g.scope).Equal(c.set)
	}
}

// sample is packets of columns, which depend on the same conditions for each of them.
type sample struct {
	b   *builder
	g   *grid
	set packet.Set
	// clients are the columns, and conditions those that neither a column nor a row shows.
	clients    []int
	conditions []string
	// product: the packets are all that come from where some of them do, and are sent what some
	// of them are. Then rest is what an example is sent as.
	product bool
	rest    *packet.Choice

	number int // of the grid
	found  map[int]packet.Packet
}

// samplesOf divides packets of the scope by the conditions that they depend on in each column. In
// nearly all policies these are the same for all clients.
func (b *builder) samplesOf(g *grid, set packet.Set) []*sample {
	sampleOf := func(conditions []string, clients ...int) *sample {
		s := &sample{b: b, g: g, set: set, number: g.number, clients: clients, conditions: conditions}
		g.samples = append(g.samples, s)
		return s
	}
	if set.IsEmpty() {
		return nil
	}
	clients := g.all
	if g.independent {
		from, sent := set.OfClients(g.unmanaged), set.ForAnyClient(g.unmanaged)
		clients = g.where.In(from).Numbers()
		if from.And(sent).Equal(set) {
			s := sampleOf(g.conditions(sent), clients...)
			s.product = true
			return []*sample{s}
		}
	}
	var out []*sample
	index := map[string]*sample{}
	for _, i := range clients {
		part := set.And(g.clients[i].set)
		if part.IsEmpty() {
			continue
		}
		conditions := g.conditions(part)
		key := strings.Join(conditions, "\x00")
		if s := index[key]; s != nil {
			s.clients = append(s.clients, i)
			continue
		}
		index[key] = sampleOf(conditions, i)
		out = append(out, index[key])
	}
	return out
}

// conditions are what a set depends on that neither a column nor a row shows.
func (g *grid) conditions(set packet.Set) []string {
	return slices.DeleteFunc(set.Conditions(), func(c string) bool { return slices.Contains(g.unmanaged, c) })
}

// example is a packet of clients of a table.
func (s *sample) example(c *Clients) packet.Packet {
	i := c.columns[s.number]
	if p, known := s.found[i]; known {
		return p
	}
	return s.of(i)
}

// settle finds the examples of all columns, so that the diagrams are not needed anymore.
func (s *sample) settle() {
	s.found = map[int]packet.Packet{}
	for _, i := range s.clients {
		s.found[i] = s.of(i)
	}
	s.b, s.g, s.set, s.rest = nil, nil, packet.Set{}, nil
}

// of is an example of a column. The parts of it that come from the clients are the same at all
// ports.
func (s *sample) of(i int) packet.Packet {
	c := s.g.clients[i]
	if !s.product {
		return s.b.usual(s.set.And(c.set))
	}
	if s.rest == nil {
		rest := s.set.ForAnyClient(s.g.unmanaged).Choose(0)
		s.rest = &rest
	}
	from := s.set.OfClients(s.g.unmanaged).And(c.from)
	choice, known := s.g.choices[from]
	if !known {
		choice = from.Choose(s.g.family)
		if s.g.choices == nil {
			s.g.choices = map[packet.Set]packet.Choice{}
		}
		s.g.choices[from] = choice
	}
	return s.b.onBridge(s.rest.And(choice).Packet(), s.set)
}

// usual is an example of a set.
func (b *builder) usual(set packet.Set) packet.Packet {
	p, _ := set.Witness()
	return b.onBridge(p, set)
}

// onBridge returns a packet of a set as one to a container on Docker's bridge, if that is in the
// set as well.
func (b *builder) onBridge(p packet.Packet, set packet.Set) packet.Packet {
	if p.Out == "" || b.ofHost() {
		return p
	}
	usual := p
	usual.Out = packet.UsualBridge
	if set.Contains(usual) {
		return usual
	}
	return p
}
