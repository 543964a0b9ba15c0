package published

import (
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Path is how clients reach a port of a host.
type Path string

// The paths. Ports of containers with network_mode: host are ports of the host.
const (
	Forwarded   Path = "forwarded"
	DockerProxy Path = "docker-proxy"
	HostNetwork Path = "network_mode: host"
)

// Exposure is a port of a host, and who reaches it on one path over one family, with the rules that
// the host has now.
type Exposure struct {
	Port   Port
	Family ir.Family
	Path   Path
	// Some and Everyone report who gets through: some clients, and all that no deny of the policy
	// refuses. Example is a packet that does.
	Some, Everyone bool
	Example        packet.Packet
	// Leak is set if docker-proxy lets clients through that the policy refuses where packets are
	// forwarded.
	Leak bool
	// Closed: the policy refuses them in INPUT as well, so that its rules are not in force on the
	// host. Covered: INPUT protection covers the port; Listed: a rule of the policy lists it.
	// Accepts are the blocks that let clients in.
	Closed, Covered, Listed bool
	Accepts                 []ir.RuleID
	// ByInput are the accept blocks of the input block that are why there is a leak, if they are.
	ByInput []ir.RuleID
	// Uncompiled: the policy has no rules for the family.
	Uncompiled bool
	// Inferred: no process was seen; the rules of the engine show that docker-proxy is in use.
	Inferred bool
	// Ahead is a foreign rule that decides about some packets for a forwarded port before Docker's DNAT,
	// so that they do not get to the container; "" for none.
	Ahead string
}

// Live returns the ports that containers publish on a host as it is, or as it would be after
// loading, and who reaches them. want is what was compiled for it. The ports are read from the nat
// rules; if the host is the one that this runs on, also from its processes. Where no docker-proxy is
// seen, the nat rules show whether the engine uses it.
func Live(want, have *snapshot.Host) ([]Exposure, error) {
	var listeners []Listener
	if have.Here() {
		var err error
		if listeners, err = Listeners(); err != nil {
			return nil, err
		}
	}
	// A program in a container may see the network of the host and not its processes.
	seen := slices.ContainsFunc(listeners, func(l Listener) bool { return l.Container.IsValid() })
	return Exposures(want, have, listeners, seen)
}

// Exposures is Live with the listening processes of the host. If they are not known, those of
// docker-proxy follow from the nat rules.
func Exposures(want, have *snapshot.Host, listeners []Listener, known bool) ([]Exposure, error) {
	l := &liveHost{want: want, have: have}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if !readCompletely(have, f) {
			continue
		}
		l.forwarded(f)
		if err := l.ahead(f); err != nil {
			return nil, err
		}
		for _, one := range listeners {
			l.listener(f, one)
		}
		if !known && f == ir.IPv6 {
			l.infer()
		}
	}
	return l.answer()
}

// readCompletely reports whether the rules of a family that were read tell what happens to its
// packets: saved ones may be a part of those that the host has.
func readCompletely(have *snapshot.Host, f ir.Family) bool {
	if have.Rules[f] == nil || have.Kind != snapshot.Saved {
		return have.Rules[f] != nil
	}
	t := have.Filter(f)
	return t != nil && snapshot.Declared(t.Chain("FORWARD")) && snapshot.Declared(t.Chain("INPUT"))
}

// liveHost collects the ports of a host, and what is to be asked about them.
type liveHost struct {
	want, have *snapshot.Host
	found      []found
}

// found is a port that was found, with the container of a forwarded one.
type found struct {
	Exposure
	container netip.Addr
	bridge    string
}

// forwarded adds the ports that the nat rules of a family forward.
func (l *liveHost) forwarded(f ir.Family) {
	for _, p := range l.have.Published(f) {
		port := Port{Protocol: p.Protocol, First: p.Port, Last: p.Port, Address: p.Address, Target: p.Container.Port(), By: p.Container.String()}
		l.found = append(l.found, found{Exposure{Port: port, Family: f, Path: Forwarded}, p.Container.Addr(), p.Bridge})
	}
}

// listener adds a port on which a process waits for clients of a family. Those whose packets
// Docker's nat rules translate do not get there: over IPv4 all, over IPv6 those without a
// link-local address.
func (l *liveHost) listener(f ir.Family, one Listener) {
	port := Port{Protocol: one.Protocol, First: one.Port, Last: one.Port, Address: one.Address, By: one.ID}
	path := HostNetwork
	if one.Container.IsValid() {
		path, port.By, port.Target = DockerProxy, one.Container.String(), one.Container.Port()
	}
	both := path == HostNetwork && one.Address == netip.IPv6Unspecified()
	if both {
		port.Address = netip.Addr{}
	}
	if !port.in(f) {
		return
	}
	l.found = append(l.found, found{Exposure: Exposure{Port: port, Family: f, Path: path}})
}

// infer adds what docker-proxy answers over IPv6: the ports that are forwarded over IPv4 without a
// condition on the address, by rules of an engine that uses docker-proxy. The rules do not show
// whether a port is published on 0.0.0.0 alone.
func (l *liveHost) infer() {
	for _, p := range l.have.Published(ir.IPv4) {
		if p.Proxied && !p.Address.IsValid() {
			port := Port{Protocol: p.Protocol, First: p.Port, Last: p.Port, Target: p.Container.Port(), By: p.Container.String()}
			l.found = append(l.found, found{Exposure: Exposure{Port: port, Family: ir.IPv6, Path: DockerProxy, Inferred: true}})
		}
	}
}

// maxForwarded limits the forwarded ports about which the rules of the host are asked one by one;
// of the others the policy's rules are.
const maxForwarded = 500

// answer asks the rules of the host, and those of the policy, about all ports.
func (l *liveHost) answer() ([]Exposure, error) {
	lists := rulesWithPorts(l.want)
	var out []Exposure
	for _, f := range l.have.Families() {
		// Of a family that the policy has no rules for, the other one shows which clients it refuses.
		meant := f
		if !l.want.HasFamily(f) {
			meant = other(f)
		}
		policy, input := compiledAsker(l.want, meant, snapshot.Forward), compiledAsker(l.want, meant, snapshot.ToHost)
		forward, err := hostAsker(l.want, l.have, f, snapshot.Forward)
		if err != nil {
			return nil, err
		}
		local, err := hostAsker(l.want, l.have, f, snapshot.ToHost)
		if err != nil {
			return nil, err
		}
		type place struct {
			found             *found
			asked             *asker
			at, policy, input int
		}
		var places []place
		for i := range l.found {
			x := &l.found[i]
			if x.Family != f {
				continue
			}
			port := x.Port
			if meant != f {
				port.Address = netip.Addr{}
			}
			at := place{found: x, policy: policy.ask(&port), input: input.ask(&port)}
			switch {
			case x.Path != Forwarded:
				at.asked, at.at = local, local.ask(&x.Port)
			case len(places) < maxForwarded:
				at.asked, at.at = forward, forward.askAbout(&x.Port, x.container, x.bridge)
			default:
				at.asked, at.at = policy, at.policy
			}
			places = append(places, at)
		}
		answers := map[*asker][]clients{}
		for _, a := range []*asker{policy, input, forward, local} {
			if answers[a], err = a.answers(); err != nil {
				return nil, err
			}
		}
		for _, at := range places {
			x := at.found.Exposure
			closed := true
			for k := range policy.externals() {
				admitted := &answers[policy][at.policy+k]
				leak := x.Leak
				x.add(&answers[at.asked][at.at+k], admitted, meant == f)
				toHost := &answers[input][at.input+k]
				refused := toHost.pass.Minus(admitted.pass)
				closed = closed && refused.IsEmpty()
				if x.Leak && !leak {
					x.ByInput = toHost.admittedByInput(refused)
				}
			}
			x.Closed = closed && meant == f
			x.Uncompiled, x.Covered = meant != f, covered(l.want, f, &x.Port)
			for _, listings := range lists {
				x.Listed = x.Listed || slices.ContainsFunc(listings, func(r listing) bool { return r.lists(&x.Port) })
			}
			out = append(out, x)
		}
	}
	return out, nil
}

func other(f ir.Family) ir.Family {
	if f == ir.IPv6 {
		return ir.IPv4
	}
	return ir.IPv6
}

// add adds who gets through on the host, and compares it with the clients that the policy admits, by
// the rules of the same family or of the other one.
func (x *Exposure) add(through, admitted *clients, same bool) {
	if x.Port.local() {
		return // no packet from outside has such a destination
	}
	if through.ok && !x.Some {
		x.Example = through.exampleFrom(through.pass, &x.Port)
	}
	x.Some = x.Some || through.ok
	x.Everyone = x.Everyone || through.everyone()
	for _, id := range through.accepts {
		if !slices.Contains(x.Accepts, id) {
			x.Accepts = append(x.Accepts, id)
		}
	}
	switch {
	case x.Path != DockerProxy:
	case same:
		if refused := through.pass.Minus(admitted.pass); !refused.IsEmpty() && !x.Leak {
			x.Leak, x.Example = true, through.exampleFrom(refused, &x.Port)
		}
	default:
		x.Leak = x.Leak || through.ok && !admitted.asked.In(admitted.pass)
	}
}
