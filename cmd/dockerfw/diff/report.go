package diff

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Effect is what a change does to the traffic that gets through.
type Effect string

// The effects. Widened: some traffic is newly allowed. Narrowed: some is newly blocked.
// Changed: neither, such as another kind of reject.
const (
	None     Effect = "none"
	Widened  Effect = "widened"
	Narrowed Effect = "narrowed"
	Both     Effect = "both"
	Changed  Effect = "changed"
)

// and joins effects: widened here and narrowed there is both.
func (e Effect) and(o Effect) Effect {
	switch {
	case e == o || o == None || o == Changed && e != None:
		return e
	case e == None || e == Changed:
		return o
	}
	return Both
}

// Total joins the effects of reports.
func Total(reports []*Report) Effect {
	out := None
	for _, r := range reports {
		out = out.and(r.Effect)
	}
	return out
}

// Path is where packets go on a host.
type Path string

// Forwarded packets go to containers or come from them. Packets to docker-proxy are for the
// host itself, and INPUT sees them.
const (
	Forwarded Path = "forwarded"
	ToProxy   Path = "docker-proxy"
)

// Report is what differs between two snapshots of a host.
type Report struct {
	// Host is the label; "" without one.
	Host     string
	Old, New string
	// Effect is that of all changes, listed or not.
	Effect  Effect
	Changes []Change
	// More is set if there are changes beyond those listed.
	More bool
	// SameReach are packets that one side accepts and the other leaves to Docker's
	// rules, which accept them: the same traffic is allowed, but ACCEPT of iptables skips
	// the rules that follow. Their effect is None.
	SameReach []Change
	// MoreSameReach is set if there are others beyond those listed.
	MoreSameReach bool
	Sets          []SetChange
	// Rules are lines that differ. If nothing else does, they match the same packets.
	Rules []ChainChange
	// Foreign rules are in chains that loading the compiled side empties.
	Foreign []Foreign
	// Notes are about the comparison itself.
	Notes []string
	// Facts are what is wrong with the interfaces of a live side, or that they are unknown.
	Facts []facts.Fact

	// inTable are the sides, old and new, whose rules are in the table of nft.
	inTable [2]bool
}

// Different reports whether any packet is newly allowed, newly blocked or refused in another
// way; or may be, because a set has other members that rules outside the compared chains use.
func (r *Report) Different() bool {
	return len(r.Changes) > 0 || slices.ContainsFunc(r.Sets, func(s SetChange) bool { return s.matters })
}

// Rule is a rule as a report shows it.
type Rule struct {
	// Name is a block of the policy, such as `accept "https"`, or the rule's text,
	// or the end of a chain.
	Name string
	// Place is where it was written; empty for the end of a chain.
	Place hcl.Range
	// Text is the rule as iptables-save prints it, without its chain.
	Text string
	// MissingIn is the policy that has no such block, if the rule is compiled without one.
	MissingIn string

	explicit bool
	foreign  bool     // not created by dockerfw
	sets     []string // that it matches
	// blocks are the names of the blocks that it comes from: several if they were merged.
	blocks []string
}

// Change is packets that get a different verdict because of one block of the policy, or
// one foreign rule.
type Change struct {
	Path     Path
	Families []ir.Family
	Effect   Effect
	// Old and New are the verdicts before and after, and the rules that gave them.
	Old, New           []packet.Verdict
	OldRules, NewRules []Rule
	// Packets are the packets that change.
	Packets Description
	// StillOpen is how a published port that is newly blocked where packets are forwarded
	// is still reachable; "" if it is not.
	StillOpen string
	// Unpublished is set if only those of Packets change that Docker's own rules drop;
	// both verdicts let through what it publishes, and replies.
	Unpublished bool
	// Proxy is where the same clients get the same change from docker-proxy, which is
	// then no change of its own; nil if nowhere.
	Proxy []Destination
	// Witness is one of the packets, with its verdicts before and after.
	Witness                packet.Packet
	WitnessOld, WitnessNew packet.Verdict
	// Conditions the change depends on that do not follow from the packet.
	Conditions []string
}

// Foreign is a rule that dockerfw did not create.
type Foreign struct {
	// Family is 0 for a rule in the table of nft that belongs to dockerfw, which is for both.
	Family ir.Family
	Chain  string
	Text   string
	// Lost is set if loading the new side deletes it; else it was added since.
	Lost bool
}

// table is the family of the tables that the rule is in, or its table of nft.
func (f Foreign) table() string {
	if f.Family == 0 {
		return snapshot.TableTitle
	}
	return words.Family(f.Family)
}

// line is the rule with its chain.
func (f Foreign) line() string {
	if f.Family == 0 {
		return "chain " + f.Chain + ": " + f.Text
	}
	return "-A " + f.Chain + " " + f.Text
}

// familyName is the family as the tool that lists the rule names it.
func (f Foreign) familyName() string {
	if f.Family == 0 {
		return ir.NFTFamily
	}
	return f.Family.String()
}
