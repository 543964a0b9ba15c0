package packet

import "strings"

// InSet holds if C does, which is what it means to be in an ipset, as conditions on the
// packet; InSet adds the name of the set.
type InSet struct {
	Name string
	// Ends are the ends of the packet that are looked up, and Dims what of them: "ip",
	// "net", "port", "iface", "mark" or "mac", as in the name of the set's type. Of a list,
	// whose members differ, Dims is nil. A match with fewer Ends than Dims never holds.
	Ends []End
	Dims []string
	C    Cond
}

func (InSet) isCond() {}

func (c InSet) String() string { return LookupKey(c.Ends, c.Dims) + " in set " + c.Name }

// LookupKey returns in words which fields of a packet are looked up in a set.
func LookupKey(ends []End, dims []string) string {
	words := make([]string, 0, len(ends))
	for i, e := range ends {
		word := e.String()
		if i < len(dims) {
			switch dims[i] {
			case "port":
				word += " port"
			case "iface":
				word = [...]string{"incoming interface", "outgoing interface"}[e]
			case "mark":
				word = "mark"
			case "mac":
				word += " MAC address"
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}
