package packet

import "fmt"

// Walk visits a condition and then those it consists of, from the outside in. visit returns
// whether to visit the conditions in the one it was given.
func Walk(c Cond, visit func(Cond) bool) {
	if !visit(c) {
		return
	}
	switch c := c.(type) {
	case InSet:
		Walk(c.C, visit)
	case Not:
		Walk(c.C, visit)
	case All:
		for _, x := range c {
			Walk(x, visit)
		}
	case Any:
		for _, x := range c {
			Walk(x, visit)
		}
	default:
		mustBeLeaf(c)
	}
}

// Map returns a condition rebuilt from the inside out: f gets each condition after those in
// it were replaced, and returns its replacement.
func Map(c Cond, f func(Cond) Cond) Cond {
	switch x := c.(type) {
	case InSet:
		x.C = Map(x.C, f)
		c = x
	case Not:
		c = Not{Map(x.C, f)}
	case All:
		c = All(mapEach(x, f))
	case Any:
		c = Any(mapEach(x, f))
	default:
		mustBeLeaf(c)
	}
	return f(c)
}

func mapEach(cs []Cond, f func(Cond) Cond) []Cond {
	out := make([]Cond, len(cs))
	for i, c := range cs {
		out[i] = Map(c, f)
	}
	return out
}

// mustBeLeaf panics unless the condition has a known type without conditions in it.
func mustBeLeaf(c Cond) {
	switch c.(type) {
	case FamilyIs, Addr, Port, Proto, ICMPType, Interface, State, Dir, Opaque, Until, Mark:
	default:
		panic(fmt.Sprintf("unknown condition %T", c))
	}
}
