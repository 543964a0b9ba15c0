package published

import (
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// decision is what a policy decides about a published port, on all paths and families.
type decision struct {
	port Port
	// leaks are the families in which docker-proxy lets clients through that the policy refuses
	// where packets are forwarded, everyoneLeaks whether there are no others, and leak a packet.
	leaks         []ir.Family
	everyoneLeaks bool
	leak          packet.Packet
	// byInput are the accept blocks of the input block that let them in, for a port of the host.
	byInput []ir.RuleID
	// some and everyone report who reaches the port where packets are forwarded: some clients, and
	// all that no deny refuses. accepts are the accept blocks that let them in.
	some, everyone bool
	accepts        []ir.RuleID
	// listed: a deny or accept lists the port. covered: INPUT protection covers it because of
	// proxy_ports.
	listed, covered bool
}

// decide asks a compiled host about ports.
func decide(want *snapshot.Host, ports []Port) ([]decision, error) {
	out := make([]decision, len(ports))
	for i := range ports {
		out[i].port = ports[i]
	}
	lists := rulesWithPorts(want)
	for _, f := range want.Families() {
		forward, proxy := compiledAsker(want, f, snapshot.Forward), compiledAsker(want, f, snapshot.ToHost)
		type asked struct{ forward, proxy int }
		at := map[int]asked{}
		for i := range out {
			p := &out[i].port
			if !p.in(f) {
				continue
			}
			a := asked{forward.ask(p), -1}
			if !p.local() {
				a.proxy = proxy.ask(p)
			}
			at[i] = a
		}
		forwarded, err := forward.answers()
		if err != nil {
			return nil, err
		}
		proxied, err := proxy.answers()
		if err != nil {
			return nil, err
		}
		for i := range out {
			a, asked := at[i]
			if !asked {
				continue
			}
			d := &out[i]
			for k := range forward.externals() {
				d.add(&forwarded[a.forward+k])
				if a.proxy >= 0 {
					d.addProxy(f, &forwarded[a.forward+k], &proxied[a.proxy+k])
				}
			}
			d.listed = d.listed || slices.ContainsFunc(lists[f], func(r listing) bool { return r.lists(&d.port) })
			elsewhere := slices.ContainsFunc(lists[f], func(r listing) bool { return !r.at(&d.port) && r.listsNumber(&d.port) })
			d.covered = d.covered || !elsewhere && covered(want, f, &d.port)
		}
	}
	return out, nil
}

// in reports whether clients of a family can connect to the port.
func (p *Port) in(f ir.Family) bool {
	return !p.Address.IsValid() || ir.FamilyOf(p.Address) == f
}

// add adds who reaches the port where packets are forwarded.
func (d *decision) add(c *clients) {
	d.some = d.some || c.ok
	d.everyone = d.everyone || c.everyone()
	for _, id := range c.accepts {
		if !slices.Contains(d.accepts, id) {
			d.accepts = append(d.accepts, id)
		}
	}
}

// addProxy adds the clients that docker-proxy lets through and the policy refuses.
func (d *decision) addProxy(f ir.Family, forwarded, proxied *clients) {
	refused := proxied.pass.Minus(forwarded.pass)
	if refused.IsEmpty() {
		return
	}
	// Over IPv6 it needs no fault of the host: that is the better example.
	if len(d.leaks) == 0 || f == ir.IPv6 {
		d.leak = proxied.exampleFrom(refused, &d.port)
		d.byInput = proxied.admittedByInput(refused)
	}
	if !slices.Contains(d.leaks, f) {
		d.leaks = append(d.leaks, f)
	}
	d.everyoneLeaks = d.everyoneLeaks || proxied.everyone()
}

// listing is the ports that a rule of a deny or accept block lists.
type listing struct {
	id        ir.RuleID
	protocols []uint8 // none: any
	// published are ports of the host, container those of containers; none: any.
	published, container []ir.PortRange
	// addresses are those of the host; nil: any.
	addresses *packet.AddrSet
}

// lists reports whether the rule lists a port, by its number or by that of the container.
func (l listing) lists(p *Port) bool { return l.at(p) && l.listsNumber(p) }

// at reports whether the rule is about an address that the port is bound to.
func (l listing) at(p *Port) bool {
	return l.addresses == nil || !p.Address.IsValid() || p.Address.IsUnspecified() || l.addresses.Contains(p.Address)
}

// listsNumber is lists for a port on any address.
func (l listing) listsNumber(p *Port) bool {
	switch {
	case len(l.protocols) > 0 && !slices.Contains(l.protocols, p.Protocol),
		len(l.published) > 0 && !contains(l.published, p.First, p.Last),
		len(l.container) > 0 && p.Target != 0 && !covers(l.container, p.Target, p.Target):
		return false
	}
	return true
}

// contains reports whether one of the ranges has all ports of another one: the engine may choose any
// of these.
func contains(ranges []ir.PortRange, first, last uint16) bool {
	return slices.ContainsFunc(ranges, func(r ir.PortRange) bool { return r.First <= first && last <= r.Last })
}

// rulesWithPorts are the rules of the deny and accept blocks that list ports, by family.
func rulesWithPorts(want *snapshot.Host) map[ir.Family][]listing {
	out := map[ir.Family][]listing{}
	for _, f := range want.Families() {
		w := listingWalk{want: want, f: f, chains: map[string]*packet.Chain{}}
		for _, c := range want.Program(f, want.EntryChain()).Chains {
			w.chains[c.Name] = c
		}
		w.chain(want.EntryChain(), listing{})
		out[f] = w.found
	}
	return out
}

// listingWalk reads the listings of a chain and of those with its folded rules.
type listingWalk struct {
	want   *snapshot.Host
	f      ir.Family
	chains map[string]*packet.Chain
	found  []listing
}

// chain reads a chain whose packets have what from lists. The rules of folded chains list only
// what those that lead to them do not.
func (w *listingWalk) chain(name string, from listing) {
	c := w.chains[name]
	if c == nil {
		return
	}
	delete(w.chains, name) // to which several rules may lead
	for _, r := range c.Rules {
		if r.Verdict.Kind == packet.Jump && w.want.NFTables() && !snapshot.IsChainOf(ir.ScopeEgress, r.Verdict.Chain) {
			w.chain(r.Verdict.Chain, from.with(r)) // the chain of the rules for the interfaces of the jump
			continue
		}
		id, ours := w.want.IDAt(w.f, r.At)
		if !ours || id.Phase != ir.PhaseAccept && id.Phase != ir.PhaseDeny {
			continue
		}
		l := from.with(r)
		l.id = id
		switch {
		case r.Verdict.Kind == packet.Goto && len(r.Matches) == 0:
			w.chain(r.Verdict.Chain, listing{}) // what follows the folded rules
		case r.Verdict.Kind == packet.Goto:
			w.chain(r.Verdict.Chain, l)
		case len(l.published) > 0 || len(l.container) > 0:
			w.found = append(w.found, l)
		}
	}
}

// with returns what a rule lists, and else l.
func (l listing) with(r *packet.Rule) listing {
	var own listing
	for _, c := range r.Matches {
		packet.Walk(c, func(c packet.Cond) bool {
			switch c := c.(type) {
			case packet.Proto:
				own.protocols = append(own.protocols, c.Numbers...)
			case packet.Port:
				switch c.End {
				case packet.OriginalDestination:
					own.published = append(own.published, c.Ranges...)
				case packet.Destination:
					own.container = append(own.container, c.Ranges...)
				}
			case packet.Addr:
				if c.End == packet.OriginalDestination {
					own.addresses = c.In
				}
			}
			return true
		})
	}
	if own.protocols == nil {
		own.protocols = l.protocols
	}
	if own.published == nil {
		own.published = l.published
	}
	if own.container == nil {
		own.container = l.container
	}
	if own.addresses == nil {
		own.addresses = l.addresses
	}
	return own
}

// covered reports whether INPUT protection covers a port.
func covered(want *snapshot.Host, f ir.Family, p *Port) bool {
	for _, r := range want.Program(f, want.OwnChain(snapshot.ToHost)).Rules() {
		if id, ours := want.IDAt(f, r.At); !ours || id.Phase != ir.PhaseInput {
			continue
		}
		protocol, port := false, false
		for _, c := range r.Matches {
			packet.Walk(c, func(c packet.Cond) bool {
				switch c := c.(type) {
				case packet.Proto:
					protocol = slices.Contains(c.Numbers, p.Protocol)
				case packet.Port:
					port = c.End == packet.Destination && contains(c.Ranges, p.First, p.Last)
				}
				return true
			})
		}
		if protocol && port {
			return true
		}
	}
	return false
}

// hostOpen reports whether everyone reaches a port of the host that no rule lists, where the
// rules of a policy alone decide.
func hostOpen(want *snapshot.Host) (bool, error) {
	for _, f := range want.Families() {
		a := compiledAsker(want, f, snapshot.ToHost)
		p := Port{Protocol: packet.ProtoTCP, First: 1024}
		for p.First < 65535 && slices.ContainsFunc(a.ports, func(c packet.Port) bool { return covers(c.Ranges, p.First, p.First) }) {
			p.First++
		}
		p.Last = p.First
		at := a.ask(&p)
		answers, err := a.answers()
		if err != nil {
			return false, err
		}
		for _, c := range answers[at:] {
			if c.everyone() {
				return true, nil
			}
		}
	}
	return false, nil
}
