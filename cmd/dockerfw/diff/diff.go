package diff

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Effect is what a change does to who gets through.
type Effect string

// The effects. Both: some get further than before and others less far. Changed:
// neither, such as another way of refusing.
const (
	None     Effect = "none"
	Widened  Effect = "widened"
	Narrowed Effect = "narrowed"
	Both     Effect = "both"
	Changed  Effect = "changed"
)

// Path is the way of packets through a host.
type Path string

// Forwarded packets go to containers and come from them. Guarded ones are for the
// host itself, where docker-proxy answers for containers.
const (
	Forwarded Path = "forwarded"
	Guarded   Path = "docker-proxy"
)

// Report is what differs between two states of a host.
type Report struct {
	// Host is the label; "" without one.
	Host     string
	Old, New string
	// Effect is that of all there is, listed or not.
	Effect  Effect
	Changes []Change
	// More says that there are changes beyond those listed.
	More bool
	// SameReach are packets that one side accepts and the other leaves to Docker's
	// rules, which accept them: nobody reaches more or less, but ACCEPT skips the
	// rules that follow. Their effect is None.
	SameReach []Change
	// MoreSameReach says that there are others beyond those listed.
	MoreSameReach bool
	Sets          []SetChange
	// Rules are lines that differ. If nothing else does, they mean the same.
	Rules []ChainChange
	// Foreign rules stand in chains that loading the compiled side empties.
	Foreign []Foreign
	// Notes say what a reader should know of the comparison itself.
	Notes []string
}

// Different tells whether anybody reaches more or less, or is answered otherwise; or
// may be, because a set has other members that rules outside the compared chains use.
func (r *Report) Different() bool {
	return len(r.Changes) > 0 || slices.ContainsFunc(r.Sets, func(s SetChange) bool { return s.decides })
}

// Rule is a rule as people know it.
type Rule struct {
	// Name is a block of the policy, such as `accept "https"`, or the rule's text,
	// or the end of a chain.
	Name string
	// Place is where it was written; empty for the end of a chain.
	Place hcl.Range
	// Text is the rule as iptables-save prints it, without its chain.
	Text string

	explicit bool
	foreign  bool     // not a rule of dockerfw's
	sets     []string // that it asks for
}

// Change is packets that get another verdict because of one block of the policy, or
// one rule of others.
type Change struct {
	Path     Path
	Families []ir.Family
	Effect   Effect
	// Old and New are the verdicts before and after, and the rules that gave them.
	Old, New           []packet.Verdict
	OldRules, NewRules []Rule
	// Packets says in words which ones: a line for each who, with where to.
	Packets []string
	// StillOpen says of a published port that is closed where packets are forwarded how it
	// is still open; "" if it is not.
	StillOpen string
	// Unpublished tells that only those of Packets change which Docker's own rules
	// refuse; for what it publishes, and for replies, both verdicts let through.
	Unpublished bool
	// Proxy says where docker-proxy answers the same senders with the same change; nil
	// if nowhere. Such a change is not listed once more.
	Proxy []string
	// Witness is one of them, with what becomes of it before and after.
	Witness                packet.Packet
	WitnessOld, WitnessNew packet.Verdict
	// Conditions the change depends on that do not follow from the packet.
	Conditions []string

	full bool // the words leave nothing out
	// who and to are the parts of Packets, if those are all.
	who, to []string
}

// Foreign is a rule of somebody else.
type Foreign struct {
	Family ir.Family
	Chain  string
	Text   string
	// Lost tells that loading the new side deletes it; else it has come since.
	Lost bool
}

// Options of a comparison.
type Options struct {
	// Chain is where two saved states are compared from; "" means DOCKER-USER.
	Chain string
	// Changes of each effect and Regions of each change limit what is listed; 0 means
	// 50 and 6.
	Changes, Regions int
	// Full lists all there is, in place of 0.
	Full bool
}

// everything is more than anybody compares.
const everything = 1 << 20

// Compare finds what differs. Where one side is compiled and the other is a host,
// the compiled side is loaded onto the host in thought: what others own there is
// the same on both sides, but for what loading would delete.
func Compare(before, after *snapshot.Host, opts Options) (*Report, error) {
	usual := [2]int{50, 6}
	if opts.Full {
		usual = [2]int{everything, everything}
	}
	opts.Changes, opts.Regions = cmp.Or(opts.Changes, usual[0]), cmp.Or(opts.Regions, usual[1])
	r := &Report{Effect: None, Host: after.Label, Old: before.Name, New: after.Name}
	if r.Host == "" {
		r.Host = before.Label
	}
	var onto *snapshot.Host // the host with the compiled side loaded
	switch {
	case after.Kind.Compiled() && !before.Kind.Compiled():
		r.foreign(before, after, true)
		loaded, err := after.LoadedOnto(before)
		if err != nil {
			return nil, err
		}
		after, onto = loaded, loaded
	case before.Kind.Compiled() && !after.Kind.Compiled():
		r.foreign(after, before, false)
		loaded, err := before.LoadedOnto(after)
		if err != nil {
			return nil, err
		}
		before, onto = loaded, loaded
	}
	if opts.Chain != "" && !hasChain(before, opts.Chain) && !hasChain(after, opts.Chain) {
		return nil, fmt.Errorf("neither %s nor %s has a chain %s", before.Name, after.Name, opts.Chain)
	}
	snapshot.DistinguishSets(before, after)
	c := &comparison{before: before, after: after, opts: opts, report: r, differ: map[string]bool{}}
	for _, f := range c.families() {
		for _, path := range []Path{Forwarded, Guarded} {
			if err := c.meaning(f, path); err != nil {
				return nil, err
			}
		}
		c.joinPaths(f)
		c.rules(f)
		if onto != nil {
			if err := c.ahead(f, onto); err != nil {
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
	return slices.ContainsFunc(s.Families(), func(f ir.Family) bool { return s.Filter(f).Chain(name) != nil })
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
	// differ says of sets whether they hold other addresses; those not asked for yet
	// are not there.
	differ map[string]bool
}

// families are those both sides know. A saved state that lacks one is not
// compared in it, and says so; a policy without one leaves it open.
func (c *comparison) families() []ir.Family {
	var out []ir.Family
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		a, b := c.before.Rules[f] != nil, c.after.Rules[f] != nil
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
			c.note("%s has no %s rules: it leaves that family to Docker's own", missing.Name, snapshot.FamilyText(f))
		default:
			c.note("%s has no %s rules saved: that family is not compared", missing.Name, snapshot.FamilyText(f))
		}
	}
	return out
}

func (c *comparison) note(format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if !slices.Contains(c.report.Notes, note) {
		c.report.Notes = append(c.report.Notes, note)
	}
}

// start returns the chain that packets of a path come to first; "" if there is
// none, or nothing leads to it.
func (c *comparison) start(s *snapshot.Host, f ir.Family, path Path) string {
	chain, hook := snapshot.InputChain, "INPUT"
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
		case c.before.Filter(f).Chain("DOCKER-USER") == nil && c.after.Filter(f).Chain("DOCKER-USER") == nil:
			c.note("neither host has a chain DOCKER-USER for %s: all of FORWARD is compared", snapshot.FamilyText(f))
			return hook
		default:
			chain = "DOCKER-USER"
			c.note("compared from chain %s on; --chain FORWARD compares all that is forwarded", chain)
		}
	}
	t := s.Filter(f)
	if t.Chain(chain) == nil {
		return ""
	}
	if !s.Kind.Compiled() && snapshot.Declared(t.Chain(hook)) && !snapshot.Reaches(t, hook, chain) {
		if len(t.Chain(chain).Rules) > 0 {
			c.note("on %s no %s rule of %s leads to %s, so its rules have no effect; --chain %s compares them all the same", s.Name, snapshot.FamilyText(f), hook, chain, chain)
		}
		return ""
	}
	return chain
}

func (r *Report) foreign(host, compiled *snapshot.Host, lost bool) {
	for _, f := range host.Families() {
		t := host.Filter(f)
		for _, chain := range compiled.Own[f] {
			for _, rule := range snapshot.ForeignRules(t.Chain(chain)) {
				r.Foreign = append(r.Foreign, Foreign{f, chain, rule.Canonical(iptables.Family(f)), lost})
			}
		}
	}
}

// and joins effects: what is widened here and narrowed there is both.
func (e Effect) and(o Effect) Effect {
	switch {
	case e == o || o == None || o == Changed && e != None:
		return e
	case e == None || e == Changed:
		return o
	}
	return Both
}
