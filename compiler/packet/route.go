package packet

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Hook is a built-in chain of a table, or a base chain of nft, on the path of packets
// through a host.
type Hook struct {
	// Table and Chain are its names, such as "mangle" and "PREROUTING".
	Table, Chain string
	// Program begins in the chain. Its Default is the policy of the chain.
	Program *Program
	// Base is the position of a base chain of nft; nil for iptables, where the names
	// determine it.
	Base *Base
}

// Base is the position of a base chain of nft on the path of packets.
type Base struct {
	// Hook is prerouting, input, forward or postrouting.
	Hook     string
	Priority int
	// NAT: only the first packet of a connection passes the chain, to be translated.
	NAT bool
}

// BeforeRouting reports whether packets pass the hook before they are routed.
func (h Hook) BeforeRouting() bool { return h.stage() != asRouted }

// Translates reports whether DNAT happens at the hook.
func (h Hook) Translates() bool { return h.stage() == translating }

// stage returns how far packets are at the hook on their path to the filter table.
func (h Hook) stage() stage {
	if h.Base != nil {
		return h.Base.stage()
	}
	switch {
	case h.Chain == "PREROUTING" && h.Table == "raw":
		return beforeTracking
	case h.Chain == "PREROUTING" && h.Table == "nat":
		return translating
	case h.Chain == "PREROUTING":
		return beforeNAT
	}
	return asRouted
}

// The priorities at which the kernel starts to track connections, and at which it
// translates destinations.
const (
	trackingPriority = -200
	dnatPriority     = -100
)

func (b *Base) stage() stage {
	switch {
	case b.Hook != "prerouting":
		return asRouted
	case b.NAT:
		return translating
	case b.Priority < trackingPriority:
		return beforeTracking
	case b.Priority < dnatPriority:
		return beforeNAT
	}
	return beforeRouting
}

type stage int

// The stages, in the order that packets pass them: before connection tracking (raw), with a
// connection and before DNAT (mangle), at DNAT (nat), after it and before routing (nft
// only), and routed.
const (
	beforeTracking stage = iota
	beforeNAT
	translating
	beforeRouting
	asRouted
)

// CannotBe is the verdict of packets that cannot exist: a packet that rules have taken out
// of connection tracking has no state but UNTRACKED.
var CannotBe = Verdict{Kind: Other, With: "(impossible)"}

// maxRouteRules limits the number of rules, which are copied for each mark.
const maxRouteRules = 400_000

// Route returns one program for all hooks that packets pass, in their order: what one
// accepts goes on to the next, and what it drops is dropped. Packets are as the last hook
// sees them, after DNAT; conditions of earlier hooks are rewritten to be about the same
// packets before it.
//
// The program has no marks. Where a rule sets one, the rules after it are copied for
// packets that have it, so that a condition on a mark is either true or false. If the mark
// is not known, such as that of a connection which earlier packets may have marked, the
// condition is opaque.
//
// Rules keep their Origin; the policy of a chain is a rule at its end, with Origin.Policy.
// Without hooks, the program accepts all packets. Route fails if marks would make the program too large.
func Route(f ir.Family, toHost bool, hooks []Hook) (*Program, error) {
	if len(hooks) == 0 {
		return &Program{Family: f, ToHost: toHost, Default: Verdict{Kind: Accept}, Chains: []*Chain{{Name: "start"}}}, nil
	}
	for _, h := range hooks {
		if err := h.Program.check(); err != nil {
			return nil, err
		}
	}
	b := &routeBuilder{
		hooks: hooks, out: &Program{Family: f, ToHost: toHost, Default: Verdict{Kind: Accept}},
		chains: map[position]*Chain{}, pure: map[[2]int]int{}, index: make([]map[string]int, len(hooks)),
	}
	for i, h := range hooks {
		b.index[i] = map[string]int{}
		for k, c := range h.Program.Chains {
			b.index[i][c.Name] = k
		}
	}
	start := &Chain{Name: "start"}
	b.out.Chains = append(b.out.Chains, start)
	// A new connection has no mark; earlier packets may have marked others.
	earlier := Marks{Conn: UnknownMark}
	if b.marksConnections() {
		start.Rules = append(start.Rules, &Rule{
			Matches: []Cond{State{ir.CTNew | ir.CTInvalid | ir.CTUntracked}}, Verdict: Verdict{Kind: Goto, Chain: b.enter(0, Marks{})}, Text: "a new connection",
		}, &Rule{Verdict: Verdict{Kind: Goto, Chain: b.enter(0, earlier)}, Text: "a known connection"})
	} else {
		start.Rules = append(start.Rules, &Rule{Verdict: Verdict{Kind: Goto, Chain: b.enter(0, Marks{})}, Text: "start"})
	}
	for len(b.todo) > 0 && b.err == nil {
		next := b.todo[len(b.todo)-1]
		b.todo = b.todo[:len(b.todo)-1]
		b.fill(next)
	}
	return b.out, b.err
}

// position is a rule of a chain of a hook, and the marks of the packets that reach it.
type position struct {
	hook, chain, rule int
	marks             Marks
	// then is where packets go that return from the chain; nil if the chain is called and
	// they return to its caller.
	then *continuation
}

// continuation is a rule to go on at, and where packets that return from its chain go. Chain -1 is
// the policy of the hook.
type continuation struct {
	chain, rule int
	then        *continuation
}

type routeBuilder struct {
	hooks []Hook
	out   *Program
	// chains are the chains of out by the position they begin at.
	chains map[position]*Chain
	todo   []position // whose chains have no rules yet
	thens  map[continuation]*continuation
	// pure caches leavesMarks: 1 is true, 2 is false.
	pure  map[[2]int]int
	index []map[string]int
	rules int
	err   error
}

// intern returns the same pointer for equal values, so that positions are comparable.
func (b *routeBuilder) intern(t continuation) *continuation {
	if b.thens == nil {
		b.thens = map[continuation]*continuation{}
	}
	if p := b.thens[t]; p != nil {
		return p
	}
	p := &t
	b.thens[t] = p
	return p
}

// enter returns the name of the chain that a hook begins with.
func (b *routeBuilder) enter(hook int, m Marks) string {
	if hook == len(b.hooks) {
		return ""
	}
	return b.at(position{hook, 0, 0, m, b.intern(continuation{chain: -1})})
}

// at returns the name of the chain with the rules from a position on. Its rules are written
// later.
func (b *routeBuilder) at(p position) string {
	if c := b.chains[p]; c != nil {
		return c.Name
	}
	c := &Chain{Name: strconv.Itoa(len(b.out.Chains))}
	b.chains[p] = c
	b.out.Chains = append(b.out.Chains, c)
	b.todo = append(b.todo, p)
	return c.Name
}

// marksConnections reports whether a rule reads or writes the marks of connections.
func (b *routeBuilder) marksConnections() bool {
	for _, h := range b.hooks {
		for _, r := range h.Program.Rules() {
			if r.marksConnection() {
				return true
			}
		}
	}
	return false
}

func (r *Rule) marksConnection() bool {
	found := slices.ContainsFunc(r.Actions, func(a Action) bool {
		return a.Kind == SetConnMark || a.Kind == SaveMark || a.Kind == RestoreMark
	})
	Walk(All(r.Matches), func(c Cond) bool {
		m, isMark := c.(Mark)
		found = found || isMark && m.Conn
		return !found
	})
	return found
}

// leavesMarks reports whether neither a chain nor any that it calls changes marks.
func (b *routeBuilder) leavesMarks(hook, chain int) bool {
	key := [2]int{hook, chain}
	if b.pure[key] == 0 {
		b.pure[key] = 1
		for _, r := range b.hooks[hook].Program.Chains[chain].Rules {
			if len(r.Actions) > 0 || r.Verdict.calls() && !b.leavesMarks(hook, b.index[hook][r.Verdict.Chain]) {
				b.pure[key] = 2
				break
			}
		}
	}
	return b.pure[key] == 1
}

// fill writes the chain of a position: the rules from there on, for packets with its marks.
func (b *routeBuilder) fill(p position) {
	chain := b.chains[p]
	hook := b.hooks[p.hook]
	if p.chain == 0 && p.rule == 0 && hook.stage() == translating {
		// Only the first packet of a connection passes the nat table.
		chain.Rules = append(chain.Rules, &Rule{
			Matches: []Cond{Not{opensConnection}},
			Verdict: b.next(p.hook, p.marks), Text: "not the first packet",
		})
	}
	for i, r := range hook.Program.Chains[p.chain].Rules[p.rule:] {
		if b.rules++; b.rules > maxRouteRules {
			b.err = fmt.Errorf("with a copy of the rules for each mark there would be more than %d rules", maxRouteRules)
			return
		}
		rule := *r
		rule.Matches, rule.Actions = b.matches(hook, r, p.marks), nil
		if r.untracks() {
			impossible := rule
			impossible.Matches = append([]Cond{Not{State{ir.CTUntracked}}}, rule.Matches...)
			impossible.Verdict = CannotBe
			chain.Rules = append(chain.Rules, &impossible)
		}
		rule.Verdict = b.verdict(r, p, continuation{p.chain, p.rule + i + 1, p.then})
		chain.Rules = append(chain.Rules, &rule)
	}
	if p.then != nil {
		end := &Rule{Verdict: b.returned(p.hook, p.marks, p.then), Text: "end"}
		if p.then.chain < 0 {
			end.At = Origin{Table: hook.Table, Chain: hook.Chain, Policy: true}
		}
		chain.Rules = append(chain.Rules, end)
	}
}

// verdict returns the verdict of a rule of the position's chain, for packets that match it;
// behind is the rule after it. A chain is called only if it leaves the marks as they are;
// otherwise a copy of it goes on with a copy of the rules after the call.
func (b *routeBuilder) verdict(r *Rule, p position, behind continuation) Verdict {
	m := r.after(p.marks)
	switch r.Verdict.Kind {
	case Continue:
		if m != p.marks {
			return Verdict{Kind: Goto, Chain: b.at(position{p.hook, behind.chain, behind.rule, m, p.then})}
		}
	case Return:
		if p.then != nil {
			return b.returned(p.hook, m, p.then)
		}
	case Jump, Goto:
		to := b.index[p.hook][r.Verdict.Chain]
		switch {
		case p.then == nil || r.Verdict.Kind == Jump && m == p.marks && b.leavesMarks(p.hook, to):
			return Verdict{Kind: r.Verdict.Kind, Chain: b.at(position{p.hook, to, 0, m, nil})}
		case r.Verdict.Kind == Goto:
			return Verdict{Kind: Goto, Chain: b.at(position{p.hook, to, 0, m, p.then})}
		}
		return Verdict{Kind: Goto, Chain: b.at(position{p.hook, to, 0, m, b.intern(behind)})}
	case Accept:
		return b.next(p.hook, m)
	case Other:
		if b.hooks[p.hook].stage() == translating {
			// The destination is a field of the packet. It passes no other chain of nat.
			last := p.hook
			for last+1 < len(b.hooks) && b.hooks[last+1].stage() == translating {
				last++
			}
			return b.next(last, m)
		}
	case Docker, Drop, Reject:
	default:
		panic(r.Verdict.unknown())
	}
	return r.Verdict
}

// next returns the verdict of packets that a hook accepts.
func (b *routeBuilder) next(hook int, m Marks) Verdict {
	if hook+1 == len(b.hooks) {
		return Verdict{Kind: Accept}
	}
	return Verdict{Kind: Goto, Chain: b.enter(hook+1, m)}
}

// returned is the verdict of packets that return from a chain and go on at t.
func (b *routeBuilder) returned(hook int, m Marks, t *continuation) Verdict {
	if t.chain >= 0 {
		return Verdict{Kind: Goto, Chain: b.at(position{hook, t.chain, t.rule, m, t.then})}
	}
	if policy := b.hooks[hook].Program.Default; policy.Kind != Accept {
		return policy
	}
	return b.next(hook, m)
}

// matches returns the conditions of a rule about the packet as it is routed, without marks.
func (b *routeBuilder) matches(hook Hook, r *Rule, m Marks) []Cond {
	stage := hook.stage()
	return mapEach(r.Matches, func(c Cond) Cond {
		if mark, ok := c.(Mark); ok {
			return mark.given(m, stage)
		}
		return stage.of(c, b.out.ToHost)
	})
}
