package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// pairLimit is the number of pairs of rules of each effect that are looked at; past
// it a report says that there is more.
const pairLimit = 2000

// meaning compares what becomes of the packets of a path.
func (c *comparison) meaning(f ir.Family, path Path) error {
	from, to := c.start(c.before, f, path), c.start(c.after, f, path)
	c.compared(f, from, to)
	if from == "" && to == "" {
		return nil
	}
	before, err := c.program(c.before, f, path, from)
	if err != nil {
		return err
	}
	after, err := c.program(c.after, f, path, to)
	if err != nil {
		return err
	}
	// A side without the chain does not say it.
	before.ToHost, after.ToHost = path == Guarded, path == Guarded
	answer := c.dockersAnswer(f)
	if path == Guarded {
		answer = hostsAnswer(f)
	}
	space, err := packet.New(before, after, answer)
	if err != nil {
		return fmt.Errorf("the %s rules cannot be compared: %w", snapshot.FamilyText(f), err)
	}
	both := space.Programs()
	limit := pairLimit
	if c.opts.Full {
		limit = everything
	}
	found, err := packet.CompareReach(both[0], both[1], both[2].Outcome(packet.Verdict{Kind: packet.Accept}), limit)
	if err != nil {
		return fmt.Errorf("the %s rules cannot be compared: %w", snapshot.FamilyText(f), err)
	}
	c.report.More = c.report.More || found.More
	for effect, set := range map[Effect]packet.Set{Changed: found.Changed.Diff(found.SameReach), Widened: found.Widened, Narrowed: found.Narrowed} {
		if !set.IsEmpty() {
			c.report.Effect = c.report.Effect.and(effect)
		}
	}
	return c.group(f, path, both, found.Changes)
}

// program is what packets of a path meet from a chain on. On a host those are the packets
// that the rules ahead of it lead there, unless the chain was asked for.
func (c *comparison) program(s *snapshot.Host, f ir.Family, path Path, chain string) (*packet.Program, error) {
	on := snapshot.Forward
	if path == Guarded {
		on = snapshot.ToHost
	}
	if chain == "" || c.opts.Chain != "" {
		return s.Program(f, chain), nil
	}
	p, err := s.ProgramFrom(f, on, chain)
	if err != nil {
		return nil, fmt.Errorf("the %s rules of %s cannot be followed: %w", snapshot.FamilyText(f), s.Name, err)
	}
	return p, nil
}

// compared notes the chains whose lines are compared later.
func (c *comparison) compared(f ir.Family, names ...string) {
	if c.chains == nil {
		c.chains, c.listed = map[ir.Family][]string{}, map[chainOf]bool{}
	}
	for _, name := range names {
		for _, s := range []*snapshot.Host{c.before, c.after} {
			if name == "" || s.Filter(f).Chain(name) == nil {
				continue
			}
			for _, chain := range s.Program(f, name).Chains {
				if at := (chainOf{f, chain.Name}); !c.listed[at] {
					c.listed[at] = true
					c.chains[f] = append(c.chains[f], chain.Name)
				}
			}
		}
	}
}

// group joins what changes for one reason.
func (c *comparison) group(f ir.Family, path Path, both []*packet.Evaluation, changes []packet.Change) (err error) {
	defer packet.Catch(&err)
	blocks := [2]map[string]string{c.blocks(c.before, f), c.blocks(c.after, f)}
	var groups []*group
	index := map[reason]*group{}
	listed := map[packet.Effect]int{}
	for _, one := range changes {
		old, now := ruleAt(c.before, both[0].Program, f, one.OldRule), ruleAt(c.after, both[1].Program, f, one.NewRule)
		why := c.reason(blocks, &one, old, now)
		g := index[why]
		if g == nil {
			if listed[one.Effect] >= c.opts.Changes {
				if one.Effect == packet.SameReach {
					c.report.MoreSameReach = true
				} else {
					c.report.More = true
				}
				continue
			}
			listed[one.Effect]++
			g = c.newGroup(f, path, both)
			index[why] = g
			groups = append(groups, g)
		}
		g.add(&one, old, now)
	}
	for _, g := range groups {
		if err := c.list(g); err != nil {
			return err
		}
	}
	return nil
}

// reason is what makes packets fare differently: the block that is new or has
// changed, on either side; or sets that have other members; else the verdicts alone,
// for rules that are nobody's block. Packets that fare in other ways are other changes.
type reason struct {
	effect                 packet.Effect
	old, new               string
	sets                   string
	oldVerdict, newVerdict packet.Kind
}

// reason tells why packets that an old and a new rule decide fare differently.
func (c *comparison) reason(blocks [2]map[string]string, one *packet.Change, old, now Rule) reason {
	effect := one.Effect
	if effect == packet.SameReach {
		effect = packet.Widened
		if one.Old.Kind == packet.Accept {
			effect = packet.Narrowed
		}
	}
	out := reason{effect: effect, old: old.Name, new: now.Name, oldVerdict: class(one.Old), newVerdict: class(one.New)}
	changed := func(r Rule) bool { return blocks[0][r.Name] != blocks[1][r.Name] }
	if !changed(old) && !changed(now) {
		if sets := c.otherMembers(old, now); sets != "" {
			out.old, out.new, out.sets = "", "", sets
			return out
		}
	}
	if old.foreign {
		out.old = ""
	}
	if now.foreign {
		out.new = ""
	}
	switch {
	case now.explicit && !now.foreign && changed(now):
		out.old = ""
	case old.explicit && !old.foreign && changed(old):
		out.new = ""
	case now.explicit && !now.foreign:
		out.old = ""
	case old.explicit && !old.foreign:
		out.new = ""
	}
	return out
}

// class is a verdict's kind; all ways of refusing are one.
func class(v packet.Verdict) packet.Kind {
	if v.Kind == packet.Reject {
		return packet.Drop
	}
	return v.Kind
}

// otherMembers names the sets of rules that hold other addresses before than after.
func (c *comparison) otherMembers(rules ...Rule) string {
	var out []string
	for _, r := range rules {
		for _, name := range r.sets {
			if !slices.Contains(out, name) && c.membersDiffer(name) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (c *comparison) membersDiffer(name string) bool {
	differ, known := c.differ[name]
	if !known {
		old, now := c.before.Members()[name], c.after.Members()[name]
		differ = old != nil && now != nil && !old.Equal(now)
		if a, b := c.before.Sets.Set(name), c.after.Sets.Set(name); a != nil && b != nil && old == nil && now == nil {
			x, y := memberNames(a), memberNames(b)
			differ = len(without(x, y))+len(without(y, x)) > 0
		}
		c.differ[name] = differ
	}
	return differ
}

// blocks holds the text of all rules that a block makes, by the block's name.
func (c *comparison) blocks(s *snapshot.Host, f ir.Family) map[string]string {
	out := map[string]string{}
	for _, name := range c.chains[f] {
		chain := s.Filter(f).Chain(name)
		if chain == nil {
			continue
		}
		for _, r := range chain.Rules {
			block, _ := nameOf(r)
			out[block] += name + " " + r.Canonical(iptables.Family(f)) + "\n"
		}
	}
	return out
}

func addVerdict(all []packet.Verdict, v packet.Verdict) []packet.Verdict {
	if slices.Contains(all, v) {
		return all
	}
	return append(all, v)
}

func addRule(all []Rule, r Rule) []Rule {
	if slices.ContainsFunc(all, func(o Rule) bool { return o.Name == r.Name }) {
		return all
	}
	return append(all, r)
}

// noRule is the name of what decides where no rule does.
const noRule = "no rule"

// ruleAt names the rule at a place of a program.
func ruleAt(s *snapshot.Host, p *packet.Program, f ir.Family, at packet.Place) Rule {
	if at == packet.AtEnd {
		if len(p.Chains[0].Rules) == 0 {
			return Rule{Name: noRule}
		}
		return Rule{Name: noRule + " (the end of " + p.Chains[0].Name + ")"}
	}
	decided := p.Rule(at)
	from := decided.At
	if from.Policy || from.Chain == "" {
		return Rule{Name: noRule + " (the end of " + cmp.Or(from.Chain, p.Chains[0].Name) + ")"}
	}
	rule := s.Rules[f].Table(from.Table).Chain(from.Chain).Rules[from.Rule]
	out := Rule{Text: decided.Text, Place: s.Place(from.Chain, rule)}
	out.Name, out.explicit = nameOf(rule)
	if out.foreign = !snapshot.Ours(rule); out.foreign {
		// What all packets of an interface come to is the end of a chain.
		out.explicit = slices.ContainsFunc(rule.Matches, func(m iptables.Match) bool { return m.Name != "comment" }) ||
			slices.ContainsFunc(rule.Base, func(o iptables.Option) bool { return o.Name != "-i" && o.Name != "-o" })
	}
	out.sets = rule.Sets()
	return out
}

// nameOf names a rule. Explicit rules are those that name packets: others take what
// is left, or replies.
func nameOf(r *iptables.Rule) (name string, explicit bool) {
	name = snapshot.BlockName(r)
	return name, name != "default" && name != "established"
}

// joinFamilies joins changes of the two families that are the same packets for the
// same reason. What is widened comes first.
func joinFamilies(changes []Change) []Change {
	rank := map[Effect]int{Widened: 0, Changed: 1, Narrowed: 2}
	slices.SortStableFunc(changes, func(a, b Change) int { return rank[a.Effect] - rank[b.Effect] })
	var out []Change
	for _, change := range changes {
		i := slices.IndexFunc(out, func(o Change) bool {
			return !slices.Contains(o.Families, change.Families[0]) && sameButFamily(&o, &change)
		})
		if i < 0 {
			out = append(out, change)
			continue
		}
		o := &out[i]
		o.Families = append(o.Families, change.Families...)
		o.StillOpen = cmp.Or(o.StillOpen, change.StillOpen)
		for _, r := range change.OldRules {
			o.OldRules = addRule(o.OldRules, r)
		}
		for _, r := range change.NewRules {
			o.NewRules = addRule(o.NewRules, r)
		}
		o.Old, o.New = addAnswers(o.Old, change.Old), addAnswers(o.New, change.New)
	}
	return out
}

// addAnswers adds verdicts, but for those that are the other family's words for
// the same answer.
func addAnswers(all, more []packet.Verdict) []packet.Verdict {
	for _, v := range more {
		if !slices.ContainsFunc(all, func(o packet.Verdict) bool { return answer(o) == answer(v) }) {
			all = append(all, v)
		}
	}
	return all
}

func answer(v packet.Verdict) packet.Verdict {
	if with, ok := strings.CutPrefix(v.With, "icmp6-"); ok {
		v.With = "icmp-" + strings.Replace(with, "adm-", "admin-", 1)
	}
	return v
}

func sameButFamily(a, b *Change) bool {
	packets := func(c *Change) string {
		// A set's name has the family's suffix.
		return strings.ReplaceAll(strings.Join(c.Packets, "\n"), "-v6", "")
	}
	return a.Path == b.Path && a.Effect == b.Effect && packets(a) == packets(b) && slices.Equal(a.Proxy, b.Proxy) && slices.Equal(a.Conditions, b.Conditions) &&
		(names(a.OldRules) == names(b.OldRules) || names(a.NewRules) == names(b.NewRules))
}

func names(rules []Rule) string {
	var out []string
	for _, r := range rules {
		out = append(out, r.Name)
	}
	return strings.Join(out, ", ")
}
