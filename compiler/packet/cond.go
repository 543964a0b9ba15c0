package packet

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// End is the address or port of a packet that a condition is about.
type End int

// The ends. The original destination is the one before DNAT, which connection
// tracking knows: a packet that is not tracked has none.
const (
	Source End = iota
	Destination
	OriginalDestination
)

func (e End) String() string {
	return [...]string{"source", "destination", "original destination"}[e]
}

// Cond is a condition on packets: one of the types of this file.
type Cond interface {
	isCond()
	String() string
}

// FamilyIs holds for packets of a family. Rules of a program of that family need
// not say it.
type FamilyIs struct{ Family ir.Family }

// Addr holds where the address at an end is in a set.
type Addr struct {
	End End
	In  *AddrSet
}

// Port holds where the port at an end is in one of the ranges. It never holds
// for source and destination of protocols without ports.
type Port struct {
	End    End
	Ranges []ir.PortRange
}

// Proto holds for packets of one of the protocols.
type Proto struct{ Numbers []uint8 }

// ICMPType holds for ICMP of IPv4 and ICMPv6 of IPv6 with types and codes in
// these ranges, both ends inclusive.
type ICMPType struct {
	FirstType, LastType uint8
	FirstCode, LastCode uint8
}

// Interface holds where the interface has that name; a + at its end stands for
// whatever follows. End is Source for -i and Destination for -o.
type Interface struct {
	End  End
	Name string
}

// State holds where the connection has any of the states; SNAT and DNAT count as such.
type State struct{ States ir.CTState }

// Dir holds for packets of tracked connections in that direction.
type Dir struct{ Dir ir.CTDir }

// Opaque is a condition whose truth does not follow from the packet's fields.
type Opaque struct {
	// Text is what distinguishes it: conditions with the same text hold together.
	Text string
	// Stateful conditions, such as limits, are another one in each rule that has
	// them. A space pairs them between its programs.
	Stateful bool

	at *occurrence // while a space pairs it
}

// Mark holds where the bits of Mask of the packet's mark are Value, or with Conn those of
// its connection's mark; without a connection none of the latter holds. Only rules set
// marks: a packet comes with none.
type Mark struct {
	Conn        bool
	Value, Mask uint32
}

// Not holds where C does not.
type Not struct{ C Cond }

// All holds where all of its conditions hold: always, if it has none.
type All []Cond

// Any holds where one of its conditions holds: never, if it has none.
type Any []Cond

func (FamilyIs) isCond()  {}
func (Addr) isCond()      {}
func (Port) isCond()      {}
func (Proto) isCond()     {}
func (ICMPType) isCond()  {}
func (Interface) isCond() {}
func (State) isCond()     {}
func (Dir) isCond()       {}
func (Opaque) isCond()    {}
func (Mark) isCond()      {}
func (Not) isCond()       {}
func (All) isCond()       {}
func (Any) isCond()       {}

func (c FamilyIs) String() string { return c.Family.String() }

func (c Addr) String() string {
	if c.In.Name != "" {
		return c.End.String() + " in set " + c.In.Name
	}
	shown := c.In.Prefixes(4)
	words := make([]string, 0, len(shown))
	for i, p := range shown {
		if i == 3 {
			words = append(words, "…")
			break
		}
		words = append(words, prefixText(p))
	}
	return c.End.String() + " " + strings.Join(words, ", ")
}

func (c Port) String() string {
	return c.End.String() + " port " + rangesText(c.Ranges)
}

func (c Proto) String() string { return "protocol " + c.Name() }

// Name writes the protocols, by name where they have one.
func (c Proto) Name() string {
	words := make([]string, 0, len(c.Numbers))
	for _, n := range c.Numbers {
		words = append(words, protocolText(n))
	}
	return strings.Join(words, ", ")
}

func (c ICMPType) String() string {
	if c.FirstType == 0 && c.LastType == 255 {
		return "any ICMP type"
	}
	out := fmt.Sprintf("ICMP type %d", c.FirstType)
	if c.LastType != c.FirstType {
		out += fmt.Sprintf("-%d", c.LastType)
	}
	if c.FirstCode == 0 && c.LastCode == 255 {
		return out
	}
	out += fmt.Sprintf("/%d", c.FirstCode)
	if c.LastCode != c.FirstCode {
		out += fmt.Sprintf("-%d", c.LastCode)
	}
	return out
}

func (c Interface) String() string {
	if c.End == Destination {
		return "out by " + c.Name
	}
	return "in by " + c.Name
}

func (c State) String() string { return "state " + statesText(c.States) }

func (c Dir) String() string {
	return "direction " + directionText(c.Dir)
}

func (c Opaque) String() string { return c.Text }

func (c Mark) String() string {
	what := "mark"
	if c.Conn {
		what = "connection mark"
	}
	return fmt.Sprintf("%s %#x/%#x", what, c.Value, c.Mask)
}

func (c Not) String() string { return "not (" + c.C.String() + ")" }

func (c All) String() string {
	if len(c) == 0 {
		return "any packet"
	}
	return joined(c, " and ")
}

func (c Any) String() string {
	if len(c) == 0 {
		return "no packet"
	}
	return "(" + joined(c, " or ") + ")"
}

func joined(cs []Cond, by string) string {
	words := make([]string, 0, len(cs))
	for _, c := range cs {
		words = append(words, c.String())
	}
	return strings.Join(words, by)
}
