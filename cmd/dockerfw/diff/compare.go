package diff

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Options of a comparison.
type Options struct {
	// Chain is where two saved snapshots are compared from; "" is DOCKER-USER.
	Chain string
	// Changes of each effect and Regions of each change limit what is listed; 0 is
	// 50 and 6.
	Changes, Regions int
	// Full lists everything where a limit is 0.
	Full bool
}

// unlimited is more than any report has.
const unlimited = 1 << 20

// Compare finds what differs. Where one side is compiled and the other is a host, loading
// the compiled side onto the host is simulated: foreign rules are then on both sides,
// except those that loading would delete.
func Compare(before, after *snapshot.Host, opts Options) (*Report, error) {
	defaults := [2]int{50, 6}
	if opts.Full {
		defaults = [2]int{unlimited, unlimited}
	}
	opts.Changes, opts.Regions = cmp.Or(opts.Changes, defaults[0]), cmp.Or(opts.Regions, defaults[1])
	r := &Report{Effect: None, Host: cmp.Or(after.Label, before.Label), Old: before.Name, New: after.Name}
	var loaded *snapshot.Host // the host with the compiled side loaded
	var err error
	switch {
	case after.Kind.Compiled() && !before.Kind.Compiled():
		r.Foreign = foreignRules(before, after, true)
		if loaded, err = after.LoadedOnto(before); err != nil {
			return nil, err
		}
		after = loaded
	case before.Kind.Compiled() && !after.Kind.Compiled():
		r.Foreign = foreignRules(after, before, false)
		if loaded, err = before.LoadedOnto(after); err != nil {
			return nil, err
		}
		before = loaded
	}
	if opts.Chain != "" && !hasChain(before, opts.Chain) && !hasChain(after, opts.Chain) {
		return nil, fmt.Errorf("neither %s nor %s has a chain %s", before.Name, after.Name, opts.Chain)
	}
	r.inTable = [2]bool{before.NFTables(), after.NFTables()}
	snapshot.DistinguishSets(before, after)
	c := &comparison{before: before, after: after, opts: opts, report: r, texts: map[sideFamily]*blockTexts{}, differ: map[string]bool{}}
	c.notListed()
	for _, side := range []*snapshot.Host{before, after} {
		for _, text := range NotCompared(side) {
			c.note("%s", text)
		}
	}
	for _, f := range c.families() {
		for _, path := range []Path{Forwarded, ToProxy} {
			if err := c.meaning(f, path); err != nil {
				return nil, err
			}
		}
		c.joinPaths(f)
		c.rules(f)
		if loaded != nil {
			if err := c.ahead(f, loaded); err != nil {
				return nil, err
			}
		}
	}
	c.stillOpen()
	r.Changes, r.SameReach = joinFamilies(r.Changes), joinFamilies(r.SameReach)
	c.sets()
	return r, nil
}

func hasChain(s *snapshot.Host, name string) bool {
	return slices.ContainsFunc(s.Families(), func(f ir.Family) bool { return s.HasChain(f, name) })
}

type chainOf struct {
	family ir.Family
	chain  string
}

type comparison struct {
	before, after *snapshot.Host
	opts          Options
	report        *Report
	// chains are those whose lines are compared, in order; listed has the same.
	chains map[ir.Family][]string
	listed map[chainOf]bool
	texts  map[sideFamily]*blockTexts
	// differ caches membersDiffer, by the name of the set.
	differ map[string]bool
}

type sideFamily struct {
	side   *snapshot.Host
	family ir.Family
}

// families are those that both sides have. A family that a compiled side does not have is
// left to Docker; one that a saved host does not have may merely not have been saved.
func (c *comparison) families() []ir.Family {
	var out []ir.Family
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		a, b := c.before.HasFamily(f), c.after.HasFamily(f)
		missing := c.before
		if a {
			missing = c.after
		}
		switch {
		case a && b:
			out = append(out, f)
		case !a && !b:
		case missing.Kind.Compiled():
			out = append(out, f)
			c.note("%s has no %s rules: %[2]s is left to Docker's own rules", missing.Name, words.Family(f))
		default:
			c.note("%s contains no %s rules: %[2]s is not compared", missing.Name, words.Family(f))
		}
	}
	return out
}

// notListed notes the sets of a host whose entries were not read.
func (c *comparison) notListed() {
	for _, side := range []*snapshot.Host{c.before, c.after} {
		for _, name := range slices.Sorted(maps.Keys(side.NotListed)) {
			c.note("the entries of set %s of %s are not compared: nft lists so large a set slowly. Its name has the digest of the compiled entries", name, side.Name)
		}
	}
}

// NotCompared are the base chains in the table of dockerfw that refuse packets of no path, such as those of the host
// itself: a load deletes them, and no change shows it.
func NotCompared(s *snapshot.Host) []string {
	var out []string
	for _, chain := range s.UnfollowedBases() {
		out = append(out, fmt.Sprintf("chain %s of %s of %s has %s: what it refuses is not compared", chain.Name, snapshot.TableTitle, s.Name, chain.HookText()))
	}
	return out
}

func (c *comparison) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !slices.Contains(c.report.Notes, note) {
		c.report.Notes = append(c.report.Notes, note)
	}
}

// start returns the chain from which the packets of a path are compared; "" if the host has
// none, or its packets never reach it.
func (c *comparison) start(s *snapshot.Host, f ir.Family, path Path) string {
	if s.NFTables() && c.opts.Chain == "" {
		if chain := s.OwnChain(path.ofHost()); s.HasChain(f, chain) {
			return chain
		}
		return ""
	}
	chain, hook := ir.InputChain, "INPUT"
	if path == Forwarded {
		hook = "FORWARD"
		switch {
		case c.opts.Chain != "":
			return c.opts.Chain
		case s.Target != "":
			chain = s.Target
		case c.before.Target != "":
			chain = c.before.Target
		case c.after.Target != "":
			chain = c.after.Target
		case c.otherTargets():
			chain = "DOCKER-USER"
		case c.before.Filter(f).Chain("DOCKER-USER") == nil && c.after.Filter(f).Chain("DOCKER-USER") == nil:
			c.note("neither host has a chain DOCKER-USER for %s: all of FORWARD is compared", words.Family(f))
			return hook
		default:
			chain = "DOCKER-USER"
			c.note("the comparison starts at chain %s; --chain FORWARD compares all forwarded packets", chain)
		}
	}
	t := s.Filter(f)
	if !s.HasChain(f, chain) {
		return ""
	}
	if t.Chain(chain) == nil {
		return chain // of the table of dockerfw
	}
	if !s.Kind.Compiled() && snapshot.Declared(t.Chain(hook)) && !snapshot.Reaches(t, hook, chain) {
		if len(t.Chain(chain).Rules) > 0 {
			c.note("on %s no %s rule in %s leads to chain %s, so its rules have no effect; --chain %[4]s compares them anyway", s.Name, words.Family(f), hook, chain)
		}
		return ""
	}
	return chain
}

// otherTargets reports whether one side has the rules of dockerfw in a table of nft, and the other has
// not: then their chains, rules and sets have other forms.
func (c *comparison) otherTargets() bool { return c.before.NFTables() != c.after.NFTables() }

// ofHost is the path as a snapshot has it.
func (p Path) ofHost() snapshot.Path {
	if p == ToProxy {
		return snapshot.ToHost
	}
	return snapshot.Forward
}

// foreignRules are the foreign rules of a host in the chains that loading empties.
func foreignRules(host, compiled *snapshot.Host, lost bool) []Foreign {
	var out []Foreign
	if host.NFTables() && compiled.NFTables() {
		for _, r := range compiled.ForeignInTable(host) {
			out = append(out, Foreign{0, r.Chain, r.Text(), lost})
		}
	}
	for _, f := range host.Families() {
		t := host.Filter(f)
		for _, chain := range compiled.Own[f] {
			for _, rule := range identity.ForeignRules(t.Chain(chain)) {
				out = append(out, Foreign{f, chain, rule.Canonical(iptables.Family(f)), lost})
			}
		}
	}
	return out
}
