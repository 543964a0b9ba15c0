package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// forward checks the path of forwarded packets.
func forward(h *hosts) (result, error) {
	return onPath(h, snapshot.Forward, h.want.OwnChain(snapshot.Forward))
}

// input checks the path of packets for the host itself, where docker-proxy answers.
func input(h *hosts) (result, error) {
	return onPath(h, snapshot.ToHost, h.want.OwnChain(snapshot.ToHost))
}

// path is a path of packets through the host, evaluated with the algebra.
type path struct {
	*hosts
	path  snapshot.Path
	chain string
	space *packet.Space
	// route is the path up to the rules of dockerfw, and unaided the same without the fallback
	// rules; whole is the path to its end.
	route, unaided, whole *packet.Evaluation
	// rules are the rules of dockerfw as compiled, and filled with the entries that the sets
	// have on the host.
	rules, filled *packet.Evaluation
	// others are the packets that neither go to containers nor come from them.
	others packet.Set
}

// onPath checks that no packet that the rules refuse bypasses them, and that nothing else drops
// all packets of an accept. To the host, the rules hand on what they accept, and the host's own INPUT
// rules may refuse it: ufw and firewalld have no rule for a published port, because the packets that
// Docker forwards do not need one.
func onPath(h *hosts, on snapshot.Path, chain string) (result, error) {
	switch {
	case ofTable(h) && h.have.Table().Chain(chain) == nil:
		return failed("chain %s of %s does not exist", chain, snapshot.TableTitle)
	case !ofTable(h) && h.have.Filter(h.family).Chain(chain) == nil:
		return failed("chain %s does not exist", chain)
	}
	p, err := newPath(h, on, chain)
	if err != nil {
		return result{}, err
	}
	for _, fault := range []func() (string, error){p.untracked, p.bypassed, p.unreachable} {
		text, err := fault()
		if err != nil {
			return result{}, err
		}
		if text != "" {
			return failed("%s", text)
		}
	}
	switch text, err := p.blocked(); {
	case err != nil:
		return result{}, err
	case text != "" && on == snapshot.ToHost:
		return nothing("%s. Packets that Docker forwards to containers do not get there", text)
	case text != "":
		return failed("%s", text)
	}
	if !p.filtered() {
		return nothing("chain %s has no rules of dockerfw, as the check of rules reports", chain)
	}
	if ofTable(h) {
		return ok("packets reach chain %s of %s, and no other rule drops everything that an accept block allows", chain, snapshot.TableTitle)
	}
	refused := snapshot.Refused(p.rules)
	if unaided := snapshot.Bypassing(p.unaided).And(refused).Diff(p.others); !unaided.IsEmpty() {
		witness, _ := unaided.Witness()
		return ok("a rule before %s admits packets that its rules refuse, and only the fallback rules in the security table drop them: %[3]s; for example %[2]s", chain, witness, p.ruleText(snapshot.AdmittingRule(p.unaided, witness)))
	}
	const nothingElse = "and no other rule drops everything that an accept block allows"
	if bypassing := snapshot.Bypassing(p.route).And(refused); !bypassing.IsEmpty() {
		witness, _ := bypassing.Witness()
		return ok("no earlier rule accepts packets to or from containers that %s refuses, %s; other packets are accepted earlier by %s", chain, nothingElse, p.ruleText(snapshot.AdmittingRule(p.route, witness)))
	}
	return ok("no earlier rule accepts packets that %s refuses, %s", chain, nothingElse)
}

// filtered reports whether the chain has a rule of dockerfw on the host, or needs none.
func (p *path) filtered() bool {
	has := func(h *snapshot.Host) bool {
		return slices.ContainsFunc(h.ChainRules(p.family, p.chain), (*snapshot.Rule).Ours)
	}
	return !has(p.loaded) || has(p.have)
}

func newPath(h *hosts, on snapshot.Path, chain string) (*path, error) {
	toHost := on == snapshot.ToHost
	route, err := h.have.RouteTo(h.family, on, chain, true)
	if err != nil {
		return nil, err
	}
	whole, err := h.have.WholeRoute(h.family, on)
	if err != nil {
		return nil, err
	}
	unaided, err := h.have.RouteTo(h.family, on, chain, false)
	if err != nil {
		return nil, err
	}
	containers := snapshot.ContainerPackets(h.family, h.want, h.have)
	if toHost {
		// Every packet for the host may be for docker-proxy.
		containers = &packet.Program{Family: h.family, ToHost: true, Default: packet.Verdict{Kind: packet.Accept}, Chains: []*packet.Chain{{Name: "host"}}}
	}
	space, err := packet.New(route, h.loaded.Program(h.family, chain), whole, h.filled.Program(h.family, chain), unaided, containers)
	if err != nil {
		return nil, err
	}
	all := space.Programs()
	return &path{
		hosts: h, path: on, chain: chain, space: space,
		route: all[0], rules: all[1], whole: all[2], filled: all[3], unaided: all[4], others: snapshot.Refused(all[5]),
	}, nil
}

func (p *path) ruleText(at packet.Origin) string { return p.have.RuleText(p.family, at) }

// untracked finds packets that the raw table exempts from connection tracking: Docker does not
// translate them, so docker-proxy answers, and they bypass the rules of FORWARD.
func (p *path) untracked() (string, error) {
	matched := p.space.None()
	for at := range p.rules.Program.Chains[0].Rules {
		set, err := p.rules.Handled(packet.Place{Rule: at})
		if err != nil {
			return "", err
		}
		matched = matched.Or(set)
	}
	lost := p.route.Outcome(packet.CannotBe).And(matched)
	if lost.IsEmpty() || p.path == snapshot.ToHost && p.exempted[p.family] {
		return "", nil
	}
	witness, _ := lost.Witness()
	rule := p.refusingRule(witness)
	if ports := p.have.Published(p.family); len(ports) > 0 {
		// A rule for a service of the host itself is no fault. Only rules before routing can
		// exempt a packet; the conditions of later ones do not matter.
		hooks := slices.DeleteFunc(p.have.Hooks(p.family, snapshot.Forward), func(hook packet.Hook) bool { return !hook.BeforeRouting() })
		i := slices.IndexFunc(ports, func(port snapshot.Published) bool {
			for j := range journeys(hooks, arriving(p.family, port, witness.In)) {
				if j.Packet.State == ir.CTUntracked {
					return true
				}
			}
			return false
		})
		if i < 0 {
			return "", nil
		}
		witness = arriving(p.family, ports[i], witness.In)
	}
	p.exempted[p.family] = true
	return fmt.Sprintf("the raw table exempts packets from connection tracking (%s): Docker does not translate them, and docker-proxy answers, for example %s", rule, witness), nil
}

// refusingRule is the rule that matches a packet on the route.
func (p *path) refusingRule(witness packet.Packet) string {
	d := p.route.Decide(witness)
	if d.At == packet.AtEnd {
		return "no rule"
	}
	return p.ruleText(p.route.Program.Rule(d.At).At)
}

// bypassed finds packets that the rules refuse and that are admitted before they get there: by
// another rule, or because a jump is missing.
func (p *path) bypassed() (string, error) {
	leak := snapshot.Bypassing(p.route).And(snapshot.Refused(p.rules)).Diff(p.others)
	if leak.IsEmpty() {
		return "", nil
	}
	witness, _ := leak.Witness()
	if ofTable(p.hosts) {
		return fmt.Sprintf("packets such as %s never reach chain %s of %s. %s", witness, p.chain, snapshot.TableTitle, loadAgain), nil
	}
	at := snapshot.AdmittingRule(p.route, witness)
	switch {
	case p.have.RuleAt(p.family, at) != nil:
	case p.jumpMissing():
		return fmt.Sprintf("never reaches %s, so packets such as %s bypass it. %s", p.chain, witness, p.addJump()), nil
	default:
		return fmt.Sprintf("jumps to %s only under conditions, so packets such as %s bypass it. %s", p.chain, witness, p.addJump()), nil
	}
	return fmt.Sprintf("a rule before %s admits packets that its rules refuse: %s; for example %s", p.chain, p.ruleText(at), witness), nil
}

// unreachable finds rules that no packet gets to, while none is admitted either.
func (p *path) unreachable() (string, error) {
	if p.route.Outcome(snapshot.Reached).IsEmpty() && p.jumpMissing() {
		if ofTable(p.hosts) {
			return fmt.Sprintf("packets never reach chain %s of %s, so its rules have no effect. %s", p.chain, snapshot.TableTitle, loadAgain), nil
		}
		return fmt.Sprintf("never reaches %s, so its rules have no effect. %s", p.chain, p.addJump()), nil
	}
	return "", nil
}

// jumpMissing reports whether no jump leads from the built-in chain to the rules.
func (p *path) jumpMissing() bool {
	if ofTable(p.hosts) {
		return !slices.ContainsFunc(p.have.Hooks(p.family, p.path), func(hook packet.Hook) bool {
			return snapshot.IsOwnTable(packet.Origin{Table: hook.Table}) && hook.Chain == p.chain
		})
	}
	return !snapshot.Reaches(p.have.Filter(p.family), p.path.FilterChain(), p.chain)
}

// addJump is how to add the missing jump.
func (p *path) addJump() string {
	if p.path == snapshot.ToHost {
		return fmt.Sprintf(loadAgain+", which adds the jump, or: %s -I INPUT 1 -j %s", p.have.Tool(p.family), p.chain)
	}
	return loadAgain + ", or restart Docker: both add the jump"
}

// blocked finds accepts all of whose packets a foreign rule drops. A ban that drops some of
// them is no fault.
func (p *path) blocked() (string, error) {
	dropped, all, err := p.droppedByForeign()
	if err != nil || all.IsEmpty() {
		return "", err
	}
	for c, chain := range p.filled.Program.Chains {
		for i, rule := range chain.Rules {
			id, ours := p.hosts.filled.IDAt(p.family, rule.At)
			if !ours || id.Phase != ir.PhaseAccept || id.Leads() || rule.Verdict.Kind == packet.Jump || rule.Verdict.Kind == packet.Continue {
				continue
			}
			set, err := p.filled.Handled(packet.Place{Chain: c, Rule: i})
			if err != nil {
				return "", err
			}
			if set.IsEmpty() || !set.Diff(all).IsEmpty() {
				continue
			}
			at := mostOf(dropped, set)
			witness, _ := set.And(dropped[at]).Witness()
			has, its := "has", "its"
			if id.Merged() {
				has, its = "have", "their"
			}
			return fmt.Sprintf("%s %s no effect: %s drops %s packets, for example %s", identity.Block(id), has, p.ruleText(at), its, witness), nil
		}
	}
	return "", nil
}

// droppedByForeign are the packets that foreign rules drop, by the rule and as a whole.
func (p *path) droppedByForeign() (byRule map[packet.Origin]packet.Set, all packet.Set, err error) {
	byRule, all = map[packet.Origin]packet.Set{}, p.space.None()
	for c, chain := range p.whole.Program.Chains {
		for i, rule := range chain.Rules {
			if k := rule.Verdict.Kind; k != packet.Drop && k != packet.Reject || !p.have.IsForeign(p.family, rule.At) {
				continue
			}
			set, err := p.whole.Handled(packet.Place{Chain: c, Rule: i})
			if err != nil {
				return nil, all, err
			}
			if set.IsEmpty() {
				continue
			}
			if old, ok := byRule[rule.At]; ok {
				set = set.Or(old)
			}
			byRule[rule.At] = set
			all = all.Or(set)
		}
	}
	return byRule, all, nil
}

// mostOf is the first rule that drops all packets of a set, or the last that drops some.
func mostOf(dropped map[packet.Origin]packet.Set, set packet.Set) packet.Origin {
	var best packet.Origin
	for _, at := range slices.SortedFunc(maps.Keys(dropped), compareOrigins) {
		if hit := dropped[at].And(set); !hit.IsEmpty() {
			best = at
			if hit.Equal(set) {
				return at
			}
		}
	}
	return best
}

func compareOrigins(a, b packet.Origin) int {
	key := func(o packet.Origin) string { return fmt.Sprintf("%s %s %08d %t", o.Table, o.Chain, o.Rule, o.Policy) }
	return strings.Compare(key(a), key(b))
}
