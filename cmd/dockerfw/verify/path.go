package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// path checks by the algebra what becomes of packets before and after our rules: that
// none which they refuse gets past them, and that those which they let through are not
// dropped elsewhere.
func (c *checker) path(f ir.Family, path snapshot.Path, chain string) (err error) {
	defer packet.Catch(&err)
	hook := path.FilterChain()
	name := snapshot.FamilyText(f) + " " + hook
	t := c.have.Filter(f)
	if t.Chain(chain) == nil {
		c.fail(name, "there is no chain %s to lead to", chain)
		return nil
	}
	way, err := c.have.RouteTo(f, path, chain, true)
	if err != nil {
		return fmt.Errorf("the %s rules cannot be followed: %w", snapshot.FamilyText(f), err)
	}
	whole, err := packet.Route(f, path == snapshot.ToHost, c.have.Hooks(f, path))
	if err != nil {
		return fmt.Errorf("the %s rules cannot be followed: %w", snapshot.FamilyText(f), err)
	}
	alone, err := c.have.RouteTo(f, path, chain, false)
	if err != nil {
		return fmt.Errorf("the %s rules cannot be followed: %w", snapshot.FamilyText(f), err)
	}
	containers := snapshot.ContainerPackets(f, c.want, c.have)
	if path == snapshot.ToHost {
		containers = &packet.Program{Family: f, ToHost: true, Default: packet.Verdict{Kind: packet.Accept}, Chains: []*packet.Chain{{Name: "host"}}}
	}
	space, err := packet.New(way, c.loaded.Program(f, chain), whole, c.filled.Program(f, chain), alone, containers)
	if err != nil {
		return fmt.Errorf("the %s rules cannot be followed: %w", snapshot.FamilyText(f), err)
	}
	all := space.Programs()
	r := reach{checker: c, family: f, path: path, chain: chain, name: name, space: space, others: snapshot.Refused(all[5])}
	if r.untracked(all[0], all[1]) || r.passed(all[0], all[1]) {
		return nil
	}
	dead, err := r.blocked(all[2], all[3])
	if err != nil || dead {
		return err
	}
	refused := snapshot.Refused(all[1])
	if left := snapshot.Bypassing(all[4]).And(refused).Diff(r.others); !left.IsEmpty() {
		witness, _ := left.Witness()
		c.ok(name, "leads to %s, behind %s, which lets through what ours refuse, for example %s: only the fallback rules in the security table drop it", chain, r.text(snapshot.AdmittingRule(all[4], witness)), witness)
		return nil
	}
	beside := ""
	if left := snapshot.Bypassing(all[0]).And(refused); !left.IsEmpty() {
		witness, _ := left.Witness()
		beside = fmt.Sprintf("; what passes by no container is let through ahead of them by %s", r.text(snapshot.AdmittingRule(all[0], witness)))
	}
	c.ok(name, "leads to %s before anything lets packets through, and nothing else drops all that a rule accepts%s", chain, beside)
	return nil
}

type reach struct {
	*checker
	family      ir.Family
	path        snapshot.Path
	chain, name string
	space       *packet.Space
	// others are the packets that go to no container and come from none.
	others packet.Set
}

// untracked finds packets that rules of the raw table take out of connection tracking:
// Docker translates none of them, so that docker-proxy answers instead of our rules.
func (r *reach) untracked(way, ours *packet.Evaluation) bool {
	decided := r.space.None()
	for at := range ours.Program.Chains[0].Rules {
		set, err := ours.Handled(packet.Place{Rule: at})
		if err != nil {
			return false
		}
		decided = decided.Or(set)
	}
	lost := way.Outcome(packet.CannotBe).And(decided)
	if lost.IsEmpty() {
		return false
	}
	witness, _ := lost.Witness()
	c := r.checker
	if ports := c.have.Published(r.family); len(ports) > 0 {
		// A rule for a service of the host's own is no fault.
		hooks := c.have.Hooks(r.family, snapshot.Forward)
		i := slices.IndexFunc(ports, func(p snapshot.Published) bool {
			return packet.Trace(hooks, arriving(r.family, p, witness.In)).Packet.State == ir.CTUntracked
		})
		if i < 0 {
			return false
		}
		witness = arriving(r.family, ports[i], witness.In)
	}
	c.fail(r.name, "the raw table takes packets out of connection tracking (%s), so that Docker does not translate them and docker-proxy answers: for example %s", r.ruleOf(way, lost), witness)
	return true
}

// passed finds packets that our rules refuse and that get through before they come to them:
// by a rule ahead, or because a jump is missing.
func (r *reach) passed(way, ours *packet.Evaluation) bool {
	c, t := r.checker, r.have.Filter(r.family)
	hook := r.path.FilterChain()
	leak := snapshot.Bypassing(way).And(snapshot.Refused(ours)).Diff(r.others)
	if leak.IsEmpty() {
		if way.Outcome(snapshot.Reached).IsEmpty() && !snapshot.Reaches(t, hook, r.chain) {
			c.fail(r.name, "does not lead to %s, so that its rules have no effect. %s", r.chain, r.jump())
			return true
		}
		return false
	}
	witness, _ := leak.Witness()
	at := snapshot.AdmittingRule(way, witness)
	if at.Policy || at == (packet.Origin{}) {
		c.fail(r.name, "does not lead to %s for packets such as %s. %s", r.chain, witness, r.jump())
		return true
	}
	rule := r.have.Rules[r.family].Table(at.Table).Chain(at.Chain).Rules[at.Rule]
	c.fail(r.name, "a rule ahead of ours lets through what ours refuse: -A %s %s (%s), for example %s", at.Chain, rule.Canonical(iptables.Family(r.family)), snapshot.PlaceText(rule.Range), witness)
	return true
}

// jump says how to get the missing jump.
func (r *reach) jump() string {
	if r.path == snapshot.ToHost {
		return fmt.Sprintf("apply.sh makes the jump: %s -I INPUT 1 -j %s", r.have.Tool(r.family), r.chain)
	}
	return "Docker makes the jump when it starts, and apply.sh does"
}

// ruleOf writes the rule that decided about a packet of a set.
func (r *reach) ruleOf(way *packet.Evaluation, set packet.Set) string {
	witness, _ := set.Witness()
	d := way.Decide(witness)
	if d.At == packet.AtEnd {
		return "no rule"
	}
	return r.text(way.Program.Rule(d.At).At)
}

// text writes a rule or a policy of the host with its table.
func (r *reach) text(at packet.Origin) string {
	if text, ok := r.have.NFTRuleText(at); ok {
		if at.Policy {
			return fmt.Sprintf("table %s: %s", at.Table, text)
		}
		return fmt.Sprintf("table %s, chain %s: %s", at.Table, at.Chain, text)
	}
	table := ""
	if at.Table != "filter" {
		table = "-t " + at.Table + " "
	}
	t := r.have.Rules[r.family].Table(at.Table)
	if at.Policy {
		return fmt.Sprintf("%s-P %s %s", table, at.Chain, t.Chain(at.Chain).Policy)
	}
	rule := t.Chain(at.Chain).Rules[at.Rule]
	return fmt.Sprintf("%s-A %s %s, %s", table, at.Chain, rule.Canonical(iptables.Family(r.family)), snapshot.PlaceText(rule.Range))
}

// blocked finds rules of ours that accept packets all of which something else on the host
// drops. A ban that takes a part of them is no fault.
func (r *reach) blocked(whole, ours *packet.Evaluation) (bool, error) {
	dropped := map[packet.Origin]packet.Set{}
	every := r.space.None()
	for c, chain := range whole.Program.Chains {
		for i, rule := range chain.Rules {
			if k := rule.Verdict.Kind; k != packet.Drop && k != packet.Reject || r.expected(rule.At) {
				continue
			}
			set, err := whole.Handled(packet.Place{Chain: c, Rule: i})
			if err != nil {
				return false, err
			}
			if set.IsEmpty() {
				continue
			}
			if old, ok := dropped[rule.At]; ok {
				set = set.Or(old)
			}
			dropped[rule.At] = set
			every = every.Or(set)
		}
	}
	if every.IsEmpty() {
		return false, nil
	}
	for c, chain := range ours.Program.Chains {
		for i, rule := range chain.Rules {
			block, accepts := strings.CutPrefix(commentOf(rule), "dockerfw accept ")
			if !accepts || rule.Verdict.Kind == packet.Jump || rule.Verdict.Kind == packet.Continue {
				continue
			}
			set, err := ours.Handled(packet.Place{Chain: c, Rule: i})
			if err != nil {
				return false, err
			}
			if set.IsEmpty() || !set.Diff(every).IsEmpty() {
				continue
			}
			at := mostOf(dropped, set)
			witness, _ := set.And(dropped[at]).Witness()
			r.checker.fail(r.name, "accept %q has no effect: %s drops what it accepts, for example %s", block, r.text(at), witness)
			return true, nil
		}
	}
	return false, nil
}

// mostOf is the first of the rules that drop packets of a set, by where they are.
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

// expected tells whether it is no surprise that a rule drops packets: it is dockerfw's or
// Docker's. The policy of FORWARD drops what Docker has not published, see docker.
func (r *reach) expected(at packet.Origin) bool {
	if _, ok := r.have.NFTRuleText(at); ok {
		return snapshot.IsDockerRule(at)
	}
	if at.Policy {
		return at.Table == "filter" && at.Chain == "FORWARD"
	}
	rule := r.have.Rules[r.family].Table(at.Table).Chain(at.Chain).Rules[at.Rule]
	return snapshot.Ours(rule) || at.Table == "filter" && at.Chain != "DOCKER-USER" && strings.HasPrefix(at.Chain, "DOCKER")
}

// commentOf is the comment of a rule of ours, by its text.
func commentOf(r *packet.Rule) string {
	_, after, found := strings.Cut(r.Text, `--comment "`)
	if !found {
		return ""
	}
	comment, _, _ := strings.Cut(after, `"`)
	return comment
}
