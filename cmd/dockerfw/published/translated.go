package published

import (
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// ahead finds the foreign rules that decide about packets for forwarded ports before Docker's DNAT: in
// nat PREROUTING, or in a base chain of nft before that. The first one is kept for each port.
func (l *liveHost) ahead(f ir.Family) (err error) {
	defer packet.Catch(&err)
	external, _ := l.want.Interfaces(f)
	if len(external) == 0 {
		external, _ = l.want.Interfaces(other(f))
	}
	for _, h := range l.have.Hooks(f, snapshot.ToHost) {
		if !h.Translates() {
			continue
		}
		dockers, foreign := false, false
		for _, r := range h.Program.Rules() {
			dockers = dockers || isDockers(r)
			foreign = foreign || !isDockers(r) && decides(r)
		}
		if foreign {
			if err := l.aheadIn(f, h.Program, external); err != nil {
				return err
			}
		}
		if dockers {
			return nil
		}
	}
	return nil
}

func (l *liveHost) aheadIn(f ir.Family, chain *packet.Program, external []string) error {
	program := chain.Map(func(_ *packet.Rule, c packet.Cond) packet.Cond { return packet.Map(c, toLocal) })
	program.ToHost = true
	a := newAsker(l.have, f, snapshot.ToHost, program)
	a.about.External = external
	questions := map[int]int{}
	for i := range l.found {
		if x := &l.found[i]; x.Family == f && x.Path == Forwarded && len(questions) < maxForwarded {
			questions[i] = a.ask(&x.Port)
		}
	}
	if len(a.asked) == 0 {
		return nil
	}
	space, err := packet.New(program, a.questions())
	if err != nil {
		return err
	}
	rules, asked := space.Programs()[0], space.Programs()[1]
	for at, r := range rules.Program.Rules() {
		if isDockers(r) || !decides(r) {
			continue
		}
		packets, err := rules.Handled(at)
		if err != nil {
			return err
		}
		for i, q := range questions {
			for k := range a.externals() {
				if x := &l.found[i]; x.Ahead == "" && !packets.And(asked.Match(packet.Place{Rule: q + k})).IsEmpty() {
					x.Ahead = l.ruleText(f, r)
				}
			}
		}
	}
	return nil
}

// isDockers reports whether a rule that translates destinations is one of the engine.
func isDockers(r *packet.Rule) bool {
	return r.At.Table == snapshot.DockerTable || identity.IsDockerChain(r.At.Chain)
}

// decides reports whether packets that match a rule of the nat table get to no later one.
func decides(r *packet.Rule) bool {
	switch r.Verdict.Kind {
	case packet.Accept:
		return true
	case packet.Return: // from the built-in chain there is nothing to return to
		return r.At.Chain == "PREROUTING"
	case packet.Other:
	default:
		return false
	}
	target, _, _ := strings.Cut(r.Verdict.With, " ")
	return target == "DNAT" || target == "REDIRECT" || target == "NETMAP"
}

func (l *liveHost) ruleText(f ir.Family, r *packet.Rule) string {
	if rule := l.have.RuleAt(f, r.At); rule != nil && rule.IPTables != nil {
		return "-A " + r.At.Chain + " " + rule.IPTables.Text
	}
	return "a rule of nft in chain " + r.At.Chain
}
