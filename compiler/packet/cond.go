package packet

import (
	"fmt"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// End is the end of a connection whose address or port a condition is about.
type End int

// The ends. The original destination is the destination before DNAT, which connection
// tracking knows: a packet that is not tracked has none.
const (
	Source End = iota
	Destination
	OriginalDestination
)

func (e End) String() string {
	return [...]string{"source", "destination", "original destination"}[e]
}

// Cond is a condition on packets. The types of this package are all there are: see Walk and
// Map.
type Cond interface {
	isCond()
	String() string
}

// FamilyIs holds for packets of a family. Rules of a program of that family do not need it.
type FamilyIs struct{ Family ir.Family }

// Addr holds if the address at an end is in a set.
type Addr struct {
	End End
	In  *AddrSet
}

// Port holds if the port at an end is in one of the ranges. For source and destination it
// never holds for protocols without ports.
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

// Interface holds if the interface has that name; a + at the end of Name matches any rest.
// End is Source for -i and Destination for -o.
type Interface struct {
	End  End
	Name string
}

// State holds if the connection has any of the states; SNAT and DNAT are states here, as
// they are for iptables.
type State struct{ States ir.CTState }

// Dir holds for packets of tracked connections in that direction.
type Dir struct{ Dir ir.CTDir }

// Opaque is a condition that does not follow from the fields of a packet.
type Opaque struct {
	// Text identifies the condition: conditions with the same text hold together.
	Text string
	// Stateful conditions, such as limits, have a state of their own in each rule. A space
	// pairs them between its programs.
	Stateful bool

	at *occurrence // while a space pairs it
}

// Mark holds if the bits of Mask of the packet's mark are Value; with Conn, those of the
// connection's mark, and never without a connection. Only rules set marks: a packet arrives
// without one.
type Mark struct {
	Conn        bool
	Value, Mask uint32
}

// Not holds if C does not.
type Not struct{ C Cond }

// All holds if all of its conditions hold: always, if it has none.
type All []Cond

// Any holds if one of its conditions holds: never, if it has none.
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

// Name returns the protocols, by name where they have one.
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
		return "leaving on " + c.Name
	}
	return "arriving on " + c.Name
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
