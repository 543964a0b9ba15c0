package packet

import (
	"maps"
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Journey is the path of one packet through hooks.
type Journey struct {
	// Verdict is Accept if the last hook accepted the packet. Other is a target that is not
	// followed, except DNAT.
	Verdict Verdict
	// Steps are the rules and policies that the packet reached, in order. A journey that ends
	// in Open at its first rule has none.
	Steps []JourneyStep
	// Packet is the packet after the last hook, with its marks. A rule may have taken it
	// out of connection tracking.
	Packet Packet
	// DNAT is the target of the nat table that took the packet; "" if none did.
	DNAT string
	// Open is an opaque condition that decides what happens to the packet and is not in
	// p.Conditions. The journey ends there.
	Open string
}

// JourneyStep is a rule that a packet reached, or the policy of a hook.
type JourneyStep struct {
	// Hook is the index of the hook, and At the rule in its program: AtEnd for the policy.
	Hook int
	At   Place
	// Failed is the first condition of the rule that does not hold; nil if all do.
	Failed Cond
	// Packet is the packet at the rule.
	Packet Packet
}

// Decider returns the step that gave the verdict. ok is false if none did: the journey is
// open, or passed no hook.
func (j *Journey) Decider() (step JourneyStep, ok bool) {
	if j.Open != "" || len(j.Steps) == 0 {
		return JourneyStep{}, false
	}
	return j.Steps[len(j.Steps)-1], true
}

// Trace sends one packet through hooks, rule by rule, as the kernel does. The packet is
// described as it is routed, after DNAT; each hook gets it as it is there. Trace shares no
// code with Route, so that each checks the other.
//
// p.Conditions has the opaque conditions that hold or not, by text. If one that matters is
// missing, the journey ends with that one in Open.
func Trace(hooks []Hook, p Packet) Journey {
	p.Complete()
	t := &tracer{hooks: hooks, packet: p}
	t.Verdict = Verdict{Kind: Accept}
	for i := range hooks {
		if hooks[i].stage() == translating && (!t.opens() || t.DNAT != "") {
			continue // a translated packet passes no other chain of nat
		}
		if !t.hook(i) {
			break
		}
	}
	t.Packet = t.packet
	return t.Journey
}

type tracer struct {
	Journey
	hooks  []Hook
	packet Packet // as routed
	at     int
	// conditions are the opaque conditions that are known at the current hook: those of the
	// packet, and whether its addresses are the host's own.
	conditions map[string]bool
}

// opens reports whether the packet is the first of its connection; only those pass nat.
func (t *tracer) opens() bool {
	return t.packet.State == ir.CTNew ||
		t.packet.State == ir.CTRelated && t.packet.Conditions[firstRelated]
}

// firstRelated is the condition of packets that open a connection which another one
// announced.
const firstRelated = "first packet of a related connection"

// opensConnection holds for the first packet of a connection; only those pass nat.
var opensConnection = Any{State{ir.CTNew}, All{State{ir.CTRelated}, Opaque{Text: firstRelated}}}

// hook sends the packet through a hook and reports whether it goes on to the next.
func (t *tracer) hook(i int) bool {
	t.at = i
	t.conditions = t.packet.localAt(t.hooks[i].stage())
	p := t.hooks[i].Program
	decided, v := t.chain(p, 0)
	switch {
	case t.Open != "":
		return false
	case !decided:
		v = p.Default
		t.Steps = append(t.Steps, JourneyStep{Hook: i, At: AtEnd, Packet: t.seen()})
	}
	if v.Kind == Other && t.hooks[i].stage() == translating {
		t.DNAT = v.With
		return true
	}
	if v.Kind == Accept {
		return true
	}
	t.Verdict = v
	return false
}

// seen returns the packet as it is at the current hook.
func (t *tracer) seen() Packet {
	p := t.packet.seenAt(t.hooks[t.at].stage())
	p.Conditions = t.conditions
	return p
}

// DestinationIsLocal and SourceIsLocal hold if the address is one of the host's own (-m
// addrtype). Unlike other opaque conditions they may follow from where a packet goes.
var (
	DestinationIsLocal = Opaque{Text: "addrtype --dst-type LOCAL"}
	SourceIsLocal      = Opaque{Text: "addrtype --src-type LOCAL"}
)

// localAt returns the opaque conditions that are known at a stage. Packets that
// docker-proxy or Docker's DNAT handles were sent to an address of the host; packets that
// arrive come from none.
func (p Packet) localAt(s stage) map[string]bool {
	out := map[string]bool{SourceIsLocal.Text: false, DestinationIsLocal.Text: p.Out == "" || s < beforeRouting && p.DNAT && !p.Elsewhere && p.Direction == ir.CTOriginal}
	maps.Copy(out, p.Conditions)
	return out
}

// chain sends the packet through a chain. decided is false for packets that return.
func (t *tracer) chain(p *Program, chain int) (decided bool, v Verdict) {
	for i, r := range p.Chains[chain].Rules {
		at := Place{chain, i}
		seen := t.seen()
		failed, open := firstFailed(r.Matches, &seen)
		if open != "" {
			if r.Verdict.Kind == Continue && len(r.Actions) == 0 {
				continue // it makes no difference whether a LOG rule matches
			}
			t.Open = open
			return true, Verdict{}
		}
		t.Steps = append(t.Steps, JourneyStep{Hook: t.at, At: at, Failed: failed, Packet: seen})
		if failed != nil {
			continue
		}
		t.packet.Marks = r.after(t.packet.Marks)
		if r.untracks() {
			t.untrack()
		}
		switch r.Verdict.Kind {
		case Continue:
		case Return:
			return false, Verdict{}
		case Jump:
			if decided, v := t.chain(p, p.chain(r.Verdict.Chain)); decided {
				return true, v
			}
		case Goto:
			return t.chain(p, p.chain(r.Verdict.Chain))
		case Docker, Accept, Drop, Reject, Other:
			return true, r.Verdict
		default:
			panic(r.Verdict.unknown())
		}
	}
	return false, Verdict{}
}

// untrack takes the packet out of connection tracking, and so of NAT.
func (t *tracer) untrack() {
	if t.packet.DNAT {
		t.packet.Destination, t.packet.DestinationPort = t.packet.OriginalDestination, t.packet.OriginalPort
	}
	t.packet.State = ir.CTUntracked
	t.packet.Complete()
}

// firstFailed returns the first condition that does not hold. If there is none, open is the
// first opaque condition that is not known.
func firstFailed(conds []Cond, p *Packet) (failed Cond, open string) {
	for _, c := range conds {
		switch unknown := Open(c, p); {
		case len(unknown) > 0:
			if open == "" {
				open = unknown[0]
			}
		case !Holds(c, p):
			return c, ""
		}
	}
	return nil, open
}

// seenAt returns the packet as it is at a stage.
func (p Packet) seenAt(s stage) Packet {
	switch s {
	case asRouted:
		return p
	case beforeRouting:
		p.Out = ""
		return p
	}
	if p.DNAT && p.Direction == ir.CTOriginal && !p.relatedICMP() {
		p.Destination, p.DestinationPort = p.OriginalDestination, p.OriginalPort
	}
	p.Out = ""
	if p.State == ir.CTNew {
		p.DNAT, p.SNAT = false, false
	}
	if s == beforeTracking && p.State != ir.CTUntracked {
		// For xt_conntrack a packet without a connection is INVALID:
		// docs/contributing/netfilter.md, "Packets without a connection".
		p.State = ir.CTInvalid
		p.DNAT, p.SNAT, p.Direction = false, false, ir.CTAny
		p.OriginalDestination, p.OriginalPort = netip.Addr{}, 0
	}
	return p
}
