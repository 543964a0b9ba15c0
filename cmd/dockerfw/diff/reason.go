package diff

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// reason is why packets get a different verdict: the block that is new or has changed, on
// either side; or sets that have other members; else the verdicts alone, for rules of no
// block. Packets with one effect and one reason are one change.
type reason struct {
	effect                 packet.Effect
	old, new               string
	sets                   string
	oldVerdict, newVerdict packet.Kind
}

// reason is why the packets that an old and a new rule match get different verdicts.
func (c *comparison) reason(blocks [2]*blockTexts, one *packet.Change, old, now Rule) reason {
	effect := one.Effect
	if effect == packet.SameReach {
		effect = packet.Widened
		if one.Old.Kind == packet.Accept {
			effect = packet.Narrowed
		}
	}
	out := reason{effect: effect, old: old.Name, new: now.Name, oldVerdict: class(one.Old), newVerdict: class(one.New)}
	changed := func(r Rule) bool {
		return slices.ContainsFunc(r.blocks, func(block string) bool { return blocks[0].of(block) != blocks[1].of(block) })
	}
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

// class is a verdict's kind; drop and all kinds of reject are one.
func class(v packet.Verdict) packet.Kind {
	if v.Kind == packet.Reject {
		return packet.Drop
	}
	return v.Kind
}

// otherMembers lists the sets of rules that hold other addresses before than after.
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
		if a, b := c.before.OwnSets().Set(name), c.after.OwnSets().Set(name); a != nil && b != nil && old == nil && now == nil {
			x, y := memberNames(a), memberNames(b)
			differ = len(without(x, y))+len(without(y, x)) > 0
		}
		c.differ[name] = differ
	}
	return differ
}

// blockTexts are the texts of all rules that a block compiles to, by the block's name.
type blockTexts struct {
	texts map[string]*strings.Builder
	// chains is the number of chains of the comparison that are in them.
	chains int
}

func (b *blockTexts) of(block string) string {
	if text := b.texts[block]; text != nil {
		return text.String()
	}
	return ""
}

func (b *blockTexts) add(block string, line ...string) {
	text := b.texts[block]
	if text == nil {
		text = &strings.Builder{}
		b.texts[block] = text
	}
	for _, part := range line {
		text.WriteString(part)
	}
	text.WriteByte('\n')
}

// blocks returns the texts of the blocks of a side in the chains so far.
func (c *comparison) blocks(s *snapshot.Host, f ir.Family) *blockTexts {
	key := sideFamily{s, f}
	b := c.texts[key]
	if b == nil {
		b = &blockTexts{texts: map[string]*strings.Builder{}}
		c.texts[key] = b
	}
	for ; b.chains < len(c.chains[f]); b.chains++ {
		name := c.chains[f][b.chains]
		for _, r := range s.ChainRules(f, name) {
			block, _ := nameOf(r)
			b.add(block, name, " ", r.Text())
			// Which chain merged rules are in depends on other rules.
			for id, entries := range s.EntriesOfMerged(r) {
				b.add(identity.Block(id), r.Block(), entries)
			}
		}
	}
	return b
}

// noRule is the name where no rule matches.
const noRule = "no rule"

// ruleAt returns the rule at a place of a program. Rules that were merged into one are those which
// match some of the packets.
func ruleAt(s *snapshot.Host, p *packet.Program, f ir.Family, at packet.Place, packets packet.Set) Rule {
	if at == packet.AtEnd {
		if len(p.Chains[0].Rules) == 0 {
			return Rule{Name: noRule}
		}
		return Rule{Name: noRule + " (the end of " + p.Chains[0].Name + ")"}
	}
	found := p.Rule(at)
	from := found.At
	if from.Policy || from.Chain == "" {
		return Rule{Name: noRule + " (the end of " + cmp.Or(from.Chain, p.Chains[0].Name) + ")"}
	}
	rule := s.RuleAt(f, from)
	if rule == nil {
		// Of a foreign table of nft.
		return Rule{Name: found.Text, Text: found.Text, foreign: true, explicit: true, blocks: []string{found.Text}}
	}
	// Copies, which do not keep the text of all rules in memory.
	out := Rule{Text: strings.Clone(found.Text), Place: s.Place(rule), MissingIn: s.MissingBlock(rule), sets: cloneAll(rule.Sets())}
	out.Name, out.explicit = nameOf(rule)
	out.blocks = []string{out.Name}
	if merged := s.MergedInto(f, rule, packets); len(merged) > 0 {
		out.blocks = nil
		for _, id := range merged {
			out.blocks = append(out.blocks, identity.Block(id))
		}
		out.Name, out.Place = words.List(out.blocks, namedRules), s.PlaceOf(merged[0], rule)
	}
	if out.foreign = !rule.Ours(); out.foreign {
		// A foreign rule for all packets of an interface is like the end of a chain.
		out.explicit = rule.HasConditions()
	}
	return out
}

func cloneAll(texts []string) []string {
	var out []string
	for _, text := range texts {
		out = append(out, strings.Clone(text))
	}
	return out
}

// namedRules is the number of rules that the name of merged ones lists.
const namedRules = 3

// nameOf returns the name of a rule. Explicit rules match the packets they list; the others
// match replies, or what is left.
func nameOf(r *snapshot.Rule) (name string, explicit bool) {
	name = r.Block()
	return name, name != "default" && name != "established"
}
