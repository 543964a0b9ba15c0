package cut

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Route is the route to an address. The zero Route is none that packets can take.
type Route struct {
	// Device is the interface that packets leave on, "" if Local is set.
	Device string
	// Local: the address is the host's own.
	Local bool
}

// Routes finds the route to an address, for packets without a mark.
type Routes interface {
	Route(to netip.Addr) (Route, error)
}

// Refusal is a connection that the rules refuse as a new one.
type Refusal struct {
	Connection Connection
	// In and Out are the interfaces it is judged on. Out is "" for one that ends at an address
	// of the host, such as those that docker-proxy answers.
	In, Out string
	// Rule is the rule that refuses it, as the policy writes its block: default, or deny "web";
	// Chain is where the rule is.
	Rule, Chain string
}

// ToHost reports whether the connection is one to the host itself that the policy's input block
// refuses. The session of whoever loads the rules is such a connection.
func (r *Refusal) ToHost() bool { return snapshot.IsChainOf(ir.ScopeHost, r.Chain) }

// Refused returns the connections that dockerfw's rules on a host refuse as new ones, in their
// order. The host was read after loading; entry is the first chain of what was loaded
// (snapshot.Host.EntryChain). Connections to addresses of the host are judged by its INPUT
// protection.
//
// Limits count as not reached, and whether a rule has ended is decided now. A connection is kept if no route leads to one of its ends, and
// if it reaches a rule with a condition that cannot be evaluated. An error is one of routes.
func Refused(h *snapshot.Host, entry string, connections []Connection, routes Routes) ([]Refusal, error) {
	j := &judge{host: h, entry: entry, routes: routes, now: time.Now(), found: map[netip.Addr]Route{}, programs: map[chainKey]*packet.Program{}}
	var out []Refusal
	for i := range connections {
		r, refused, err := j.refusal(&connections[i])
		if err != nil {
			return nil, err
		}
		if refused {
			out = append(out, r)
		}
	}
	return out, nil
}

// judge has what connections have in common.
type judge struct {
	host     *snapshot.Host
	entry    string
	routes   Routes
	now      time.Time
	found    map[netip.Addr]Route
	programs map[chainKey]*packet.Program
}

type chainKey struct {
	family ir.Family
	start  string
}

func (j *judge) refusal(c *Connection) (r Refusal, refused bool, err error) {
	if !c.lasts() {
		return r, false, nil
	}
	p := c.first()
	from, err := j.route(p.Source)
	if err != nil || from.Device == "" {
		return r, false, err // none, or a connection of the host itself
	}
	to, err := j.route(p.Destination)
	if err != nil || to == (Route{}) {
		return r, false, err
	}
	p.In, p.Out = from.Device, to.Device
	start := j.entry
	if to.Local {
		start = j.host.ChainOf(ir.ScopeInput)
	}
	rule := j.refuses(c.Family, start, p)
	if rule == nil {
		return r, false, nil
	}
	block := rule.Block()
	if id, ok := j.host.BlockOf(rule, &p); ok {
		block = identity.Block(id)
	}
	return Refusal{Connection: *c, In: p.In, Out: p.Out, Rule: block, Chain: rule.Chain}, true, nil
}

// route returns the route to an address, which is read once.
func (j *judge) route(to netip.Addr) (Route, error) {
	r, known := j.found[to]
	if known {
		return r, nil
	}
	r, err := j.routes.Route(to)
	if err != nil {
		return Route{}, fmt.Errorf("the route to %s: %w", to, err)
	}
	j.found[to] = r
	return r, nil
}

// program is the rules from a chain on, with the limits not reached.
func (j *judge) program(f ir.Family, start string) *packet.Program {
	key := chainKey{f, start}
	p := j.programs[key]
	if p == nil {
		p = settled(j.host.Program(f, start), j.now)
		j.programs[key] = p
	}
	return p
}

// refuses returns the rule of dockerfw that refuses a packet; nil if none does.
func (j *judge) refuses(f ir.Family, start string, p packet.Packet) *snapshot.Rule {
	program := j.program(f, start)
	d := program.Decide(p)
	if d.Verdict.Kind != packet.Drop && d.Verdict.Kind != packet.Reject {
		return nil
	}
	decided := program.Rule(d.At)
	if decided == nil {
		return nil // the policy of a chain
	}
	if rule := j.host.RuleAt(f, decided.At); rule.Ours() {
		return rule
	}
	return nil
}
