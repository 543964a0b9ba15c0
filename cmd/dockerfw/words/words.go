// Package words puts counts, lists and packet fields into words for the reports of all
// commands.
//
// In: numbers, names and typed values of packets. Out: the text that people read, without
// escapes. It does not know rules, policies or hosts, and nothing parses its text again.
package words

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
)

// Count writes a number with its noun: 1 error, 2 errors, 2 prefixes, 2 entries.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + plural(noun)
}

func plural(noun string) string {
	for _, end := range []string{"s", "x", "ch", "sh"} {
		if strings.HasSuffix(noun, end) {
			return noun + "es"
		}
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok && !strings.ContainsAny(stem[max(0, len(stem)-1):], "aeiou") {
		return stem + "ies"
	}
	return noun + "s"
}

// List joins items with commas. With a limit it writes the first ones and how many more
// there are, unless only one more would be left out; 0 is no limit.
func List(items []string, limit int) string {
	shown, more := First(len(items), limit)
	text := strings.Join(items[:shown], ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// And joins items as in "a, b and c", and Or as in "a, b or c".
func And(items []string) string { return join(items, " and ") }

// Or is described at And.
func Or(items []string) string { return join(items, " or ") }

func join(items []string, last string) string {
	n := len(items)
	if n < 2 {
		return strings.Join(items, "")
	}
	return strings.Join(items[:n-1], ", ") + last + items[n-1]
}

// First returns how many of n items a report shows under a limit, and how many it leaves
// out: never only one, which takes no more room than its count.
func First(n, limit int) (shown, more int) {
	if limit == 0 || n <= limit+1 {
		return n, 0
	}
	return limit, n - limit
}

// Family is the name of an address family.
func Family(f ir.Family) string {
	if f == ir.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// Prefix writes a single address without its length.
func Prefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// Prefixes writes prefixes as Prefix does.
func Prefixes(prefixes []netip.Prefix) []string {
	out := make([]string, 0, len(prefixes))
	for _, p := range prefixes {
		out = append(out, Prefix(p))
	}
	return out
}

// PortRanges writes ranges such as 80 and 8000-8080.
func PortRanges(ranges []ir.PortRange) []string {
	out := make([]string, 0, len(ranges))
	for _, r := range ranges {
		out = append(out, numbers(int(r.First), int(r.Last)))
	}
	return out
}

// Protocol is the name of a protocol, or "protocol 47" for one that package packet does not name.
func Protocol(n uint8) string {
	name := packet.Proto{Numbers: []uint8{n}}.Name()
	if _, err := strconv.Atoi(name); err == nil {
		return "protocol " + name
	}
	return name
}

// ICMPTypes writes types, with their codes where not every code belongs: type 8, type 3/4.
func ICMPTypes(types []packet.ICMPType) string {
	out := make([]string, 0, len(types))
	for _, t := range types {
		text := "type " + numbers(int(t.FirstType), int(t.LastType))
		if t.FirstCode != 0 || t.LastCode != 255 {
			text += "/" + numbers(int(t.FirstCode), int(t.LastCode))
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func numbers(first, last int) string {
	if first == last {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// State is the name of one state of connection tracking.
func State(s ir.CTState) string {
	for _, known := range question.States {
		if known.State == s && !known.Reply {
			return known.Name
		}
	}
	return packet.State{States: s}.Names()
}
