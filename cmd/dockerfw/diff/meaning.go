package diff

import (
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// pairLimit is the number of pairs of an old and a new rule, for each effect, that are
// compared; beyond it a report has More.
const pairLimit = 2000

// meaning compares the verdicts of the packets of a path.
func (c *comparison) meaning(f ir.Family, path Path) error {
	from, to := c.start(c.before, f, path), c.start(c.after, f, path)
	c.listChains(f, from, to)
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
	if c.before.NFTables() || c.after.NFTables() {
		before, after = c.before.WithLimitsByBlock(before), c.after.WithLimitsByBlock(after)
	}
	// A side without the chain has an empty program, which is on either path.
	before.ToHost, after.ToHost = path == ToProxy, path == ToProxy
	rest := c.dockersAnswer(f)
	if path == ToProxy {
		rest = hostsAnswer(f)
	}
	space, err := packet.New(before, after, rest)
	if err != nil {
		return fmt.Errorf("cannot compare the %s rules: %w", words.Family(f), err)
	}
	programs := space.Programs()
	limit := pairLimit
	if c.opts.Full {
		limit = unlimited
	}
	found, err := packet.CompareReach(programs[0], programs[1], programs[2].Outcome(packet.Verdict{Kind: packet.Accept}), limit)
	if err != nil {
		return fmt.Errorf("cannot compare the %s rules: %w", words.Family(f), err)
	}
	c.report.More = c.report.More || found.More
	for effect, set := range map[Effect]packet.Set{Changed: found.Changed.Diff(found.SameReach), Widened: found.Widened, Narrowed: found.Narrowed} {
		if !set.IsEmpty() {
			c.report.Effect = c.report.Effect.and(effect)
		}
	}
	return c.group(f, path, programs, found.Changes)
}

// program is the rules of a path from a chain on. On a host its packets are those that
// the rules ahead let through to the chain, unless the user chose the chain.
func (c *comparison) program(s *snapshot.Host, f ir.Family, path Path, chain string) (*packet.Program, error) {
	on := path.ofHost()
	if chain == "" || c.opts.Chain != "" {
		return s.Program(f, chain), nil
	}
	p, err := s.ProgramFrom(f, on, chain)
	if err != nil {
		return nil, notFollowed(f, s, err)
	}
	return p, nil
}

// listChains adds the chains that packets pass from these on to those whose lines are
// compared.
func (c *comparison) listChains(f ir.Family, names ...string) {
	if c.chains == nil {
		c.chains, c.listed = map[ir.Family][]string{}, map[chainOf]bool{}
	}
	for _, name := range names {
		for _, s := range []*snapshot.Host{c.before, c.after} {
			if name == "" || !s.HasChain(f, name) {
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

// group joins changes that have one reason.
func (c *comparison) group(f ir.Family, path Path, programs []*packet.Evaluation, changes []packet.Change) (err error) {
	defer packet.Catch(&err)
	if len(changes) == 0 {
		return nil
	}
	blocks := [2]*blockTexts{c.blocks(c.before, f), c.blocks(c.after, f)}
	var groups []*group
	index := map[reason]*group{}
	listed := map[packet.Effect]int{}
	all, err := c.byReturn(f, programs, changes)
	if err != nil {
		return err
	}
	for _, one := range all {
		old, now := ruleAt(c.before, programs[0].Program, f, one.OldRule, one.Set), ruleAt(c.after, programs[1].Program, f, one.NewRule, one.Set)
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
			g = newGroup(f, path, programs)
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
