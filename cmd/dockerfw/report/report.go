package report

import (
	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Report is who can reach what on one host.
type Report struct {
	// Host is the label; "" without one.
	Host string
	// Name is the side that is shown. Old is the side it is compared with; "" for none.
	Name, Old string
	Tables    []Table
	Sets      []Set
	Findings  []Finding
	// Change is the result of comparing both sides in a sentence; "" with one side.
	Change string
	// Notes are about the report itself, such as what it does not cover.
	Notes []string
}

// Kind is what a table is about.
type Kind string

// The kinds of tables. They are an interface for programs.
const (
	Published Kind = "published ports"
	Host      Kind = "ports of the host"
	Egress    Kind = "from containers"
)

// Table is all packets of new connections on one path: those of each of the clients to each of
// the ports.
type Table struct {
	Kind    Kind
	Clients []Clients
	Ports   []Ports
	// Cells are by ports, then by clients. Clients that get the same at a port share a cell.
	Cells [][]*Cell
}

// Clients are clients that get the same everywhere in the table.
type Clients struct {
	// Name is short, such as "office", and Detail says the same in full.
	Name, Detail string
	// Rest: all that no rule lists.
	Rest bool
	// Families are those whose packets the column is about.
	Families []ir.Family

	columns []int // see fill
}

// Ports are ports, or other destinations, at which each of the clients gets one answer.
type Ports struct {
	Name string
	// By are the containers or services that publish them, if that is known.
	By []string
	// Rest: all that no rule lists. Direct: the packets go to a container's own address.
	Rest, Direct bool

	order portOrder
}

// Reach is what a verdict means for a client.
type Reach string

// The reaches. Left: the rules of the report leave the packets to other rules, which are not
// known. Depends: the packets differ, for example by their family or by a rate.
const (
	Allowed Reach = "allowed"
	Refused Reach = "refused"
	Left    Reach = "left"
	Depends Reach = "depends"
)

// Cell is what the packets of some clients to some ports get. A cell without outcomes has no
// packets, such as that of ICMPv6 over IPv4.
type Cell struct {
	Outcomes []Outcome
	// Before are the outcomes of the old side, and Changes how they differ.
	Before  []Outcome
	Changes []Change
}

// Reach is that of all outcomes.
func (c *Cell) Reach() Reach { return reachOf(c.Outcomes) }

func reachOf(all []Outcome) Reach {
	var out Reach
	for _, o := range all {
		if out != "" && out != o.Reach {
			return Depends
		}
		out = o.Reach
	}
	return out
}

// Outcome is packets of a cell that get a verdict from one rule.
type Outcome struct {
	// Families are those whose packets get it.
	Families []ir.Family
	Verdict  packet.Verdict
	Reach    Reach
	Rule     Rule
	// Conditions are what the outcome depends on besides the packet, such as a rate.
	Conditions []string
	// Examples are one packet for each family.
	Examples []Example
}

// Example is a packet of some clients of a table. It is found when it is needed: most cells of a
// large table show none.
type Example func(*Clients) packet.Packet

// Rule is the rule that decides.
type Rule struct {
	// Name is the block of the policy, the rule's text, or "no rule".
	Name string
	// Place is where it was written; "" for none.
	Place string
	// Text is the rule as iptables-save prints it; "" without one.
	Text string
	// MissingIn is the policy that has no such block, if the rule is compiled without one.
	MissingIn string
}

// Effect is what a change does to the traffic that gets through.
type Effect string

// The effects, as package diff has them.
const (
	Widened  Effect = "widened"
	Narrowed Effect = "narrowed"
	Changed  Effect = "changed"
)

// Change is packets of a cell that get another verdict.
type Change struct {
	Families []ir.Family
	Effect   Effect
	Old, New Outcome
	Example  Example
}

// Set is an ipset.
type Set struct {
	Name, Type string
	// Entries is how many there are. Those of a set that dockerfw does not manage are known on
	// hosts only: Unknown.
	Entries int
	Unknown bool
	Managed bool
	// Sample are the first entries.
	Sample []string
	// Added and Removed are how many entries differ from the old side.
	Added, Removed int
}

// Finding is something that a reader should know about the rules.
type Finding struct {
	// Level is error, warning or note.
	Level string
	// Code is a class of findings, or the name of a fact; Place is where; "" for neither.
	Code, Place string
	Text        string
}

// Options of a report.
type Options struct {
	// Published are the ports that containers publish; nil if they are not known.
	Published []published.Port
}
