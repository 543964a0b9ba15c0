package cut

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
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
func (r *Refusal) ToHost() bool { return r.Chain == ir.HostChain }

// Refused returns the connections that dockerfw's rules on a host refuse as new ones, in their
// order. The host was read after loading; entry is the first chain of what was loaded
// (snapshot.Host.EntryChain). Connections to addresses of the host are judged by its INPUT
// protection.
//
// Limits count as not reached, and whether a rule has ended is decided now. A connection is kept if no route leads to one of its ends, and
// if it reaches a rule with a condition that cannot be evaluated. An error is one of routes.
func Refused(h *snapshot.Host, entry string, connections []Connection, routes Routes) ([]Refusal, error) {
	j := &judge{host: h, entry: entry, routes: routes, now: time.Now(), found: map[netip.Addr]Route{}, chains: map[chainKey]*chain{}}
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
	host   *snapshot.Host
	entry  string
	routes Routes
	now    time.Time
	found  map[netip.Addr]Route
	chains map[chainKey]*chain
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
		start = ir.InputChain
	}
	rule, chain := j.chain(c.Family, start).refuses(p)
	if rule == nil {
		return r, false, nil
	}
	block := identity.BlockName(rule)
	if id, ok := j.host.BlockOf(rule, &p); ok {
		block = identity.Block(id)
	}
	return Refusal{Connection: *c, In: p.In, Out: p.Out, Rule: block, Chain: chain}, true, nil
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

// chain is a chain of the filter table and those that it leads to.
type chain struct {
	table   *iptables.Table
	program *packet.Program
}

func (j *judge) chain(f ir.Family, start string) *chain {
	key := chainKey{f, start}
	c := j.chains[key]
	if c == nil {
		c = &chain{j.host.Filter(f), settled(j.host.Program(f, start), j.now)}
		j.chains[key] = c
	}
	return c
}

// refuses returns the rule of dockerfw that refuses a packet, and its chain; nil if none does.
func (c *chain) refuses(p packet.Packet) (rule *iptables.Rule, chain string) {
	d := c.program.Decide(p)
	if d.Verdict.Kind != packet.Drop && d.Verdict.Kind != packet.Reject {
		return nil, ""
	}
	decided := c.program.Rule(d.At)
	if decided == nil {
		return nil, "" // the policy of a chain
	}
	rule = c.table.Chain(decided.At.Chain).Rules[decided.At.Rule]
	if !identity.Ours(rule) {
		return nil, ""
	}
	return rule, decided.At.Chain
}
