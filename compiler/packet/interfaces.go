package packet

import (
	"iter"
	"slices"
	"strings"
)

// maxInterface is the longest name an interface may have.
const maxInterface = 15

// interfaces are names that represent all others: each name that a condition lists, for
// each pattern a name that matches it and if possible no longer pattern, and one that
// matches none of them.
type interfaces struct {
	names []string
	index map[string]int
}

func matchesInterface(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "+"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

func newInterfaces(mentioned []string) *interfaces {
	is := &interfaces{index: map[string]int{}}
	add := func(name string) {
		if _, ok := is.index[name]; !ok {
			is.index[name] = len(is.names)
			is.names = append(is.names, name)
		}
	}
	// fresh reports whether name matches only patterns that all names with this prefix
	// match.
	fresh := func(name, prefix string) bool {
		return len(name) <= maxInterface && !slices.ContainsFunc(mentioned, func(m string) bool {
			return matchesInterface(m, name) && (!strings.HasSuffix(m, "+") || len(m)-1 > len(prefix))
		})
	}
	for _, name := range []string{"eth0", "eth1", "ens3", "enp1s0", "wan0", "lan0", "if0", "other0", "zz"} {
		if fresh(name, "") {
			add(name)
			break
		}
	}
	for _, m := range mentioned {
		prefix, isPattern := strings.CutSuffix(m, "+")
		if !isPattern {
			add(m)
			continue
		}
		for name := range expansions(prefix) {
			if fresh(name, prefix) {
				add(name)
				break
			}
		}
	}
	if !slices.ContainsFunc(is.names, func(n string) bool { return fresh(n, "") }) {
		for name := range expansions("") {
			if fresh(name, "") {
				add(name)
				break
			}
		}
	}
	return is
}

// expansions are names that begin with prefix, usual ones first, and so many that one
// is free unless patterns are written to cover them all.
func expansions(prefix string) iter.Seq[string] {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-.@"
	return func(yield func(string) bool) {
		for _, a := range letters {
			if !yield(prefix + string(a)) {
				return
			}
		}
		if prefix != "" && !yield(prefix) {
			return
		}
		for _, a := range letters {
			for _, b := range letters {
				if !yield(prefix + string(a) + string(b)) {
					return
				}
			}
		}
	}
}

// spans returns the indexes of the names a pattern matches.
func (is *interfaces) spans(pattern string) []span {
	var out []span
	for i, name := range is.names {
		if matchesInterface(pattern, name) {
			out = append(out, span{uint32(i), uint32(i)})
		}
	}
	return join(out)
}

// find returns the index of the name that represents a name.
func (is *interfaces) find(name string, mentioned []string) uint32 {
	if i, ok := is.index[name]; ok {
		return uint32(i)
	}
	for i, n := range is.names {
		if !slices.ContainsFunc(mentioned, func(m string) bool {
			return matchesInterface(m, n) != matchesInterface(m, name)
		}) {
			return uint32(i)
		}
	}
	panic("no interface represents " + name)
}
