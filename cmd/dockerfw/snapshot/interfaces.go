package snapshot

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Interfaces are the patterns of the interfaces that the policy of a state calls
// external, and of those it is for; container is nil if it is for any. Where the
// policy is not at hand they are read from the rules of dockerfw, and both are nil
// if the state has none.
func (s *State) Interfaces(f ir.Family) (external, container []string) {
	if s.External != nil {
		return s.External, s.Container
	}
	// The rules of default have just these.
	for _, r := range s.incoming(f) {
		if Comment(r) == "dockerfw default" {
			external, container = addValue(external, r, "-i"), addValue(container, r, "-o")
		}
	}
	if external == nil {
		return s.replying(f)
	}
	return external, container
}

// replying are the interfaces of a policy whose default refuses nothing. Replies pass
// wherever a rule decides, by the interfaces of the host first; those that only one
// rule lists follow. They go with other interfaces of containers, or are bridges of
// Docker's; any others cannot be told from the host's.
func (s *State) replying(f ir.Family) (external, container []string) {
	var first *iptables.Rule
	for _, r := range s.incoming(f) {
		if Comment(r) != "dockerfw established" {
			continue
		}
		if first == nil {
			first = r
		}
		if value(r, "-o") == value(first, "-o") && (r == first || !dockersBridge(value(r, "-i"))) {
			external = addValue(external, r, "-i")
		}
		if value(r, "-i") == value(first, "-i") && value(first, "-o") != "" {
			container = addValue(container, r, "-o")
		}
	}
	return external, container
}

// value is that of a rule's option, "" if it does not have it.
func value(r *iptables.Rule, option string) string {
	if o := r.Option(option); o != nil {
		return o.Value()
	}
	return ""
}

// dockersBridge tells whether an interface has a name that Docker gives to bridges.
func dockersBridge(name string) bool {
	return strings.HasPrefix(name, "docker") || strings.HasPrefix(name, "br-")
}

// incoming are the rules of dockerfw for what enters from outside and is forwarded.
func (s *State) incoming(f ir.Family) []*iptables.Rule {
	t := s.Filter(f)
	if t == nil {
		return nil
	}
	var out []*iptables.Rule
	for _, c := range t.Chains {
		if c.Name == OwnPrefix || !ownChain(c.Name) {
			out = append(out, slices.DeleteFunc(slices.Clone(c.Rules), func(r *iptables.Rule) bool { return !Ours(r) })...)
		}
	}
	return out
}

// Bridges are the interfaces that Docker's own rules send to containers, in the
// order of the rules.
func (s *State) Bridges(f ir.Family) []string {
	t := s.Filter(f)
	if t == nil {
		return nil
	}
	var out []string
	for _, c := range t.Chains {
		dockers := dockersChain(c.Name)
		for _, r := range c.Rules {
			if dockers || c.Name == "FORWARD" && dockersChain(r.Jump) {
				out = addValue(out, r, "-o")
			}
		}
	}
	return out
}

// dockersChain tells whether the engine fills a chain of the filter table.
func dockersChain(name string) bool {
	return name == "DOCKER" || strings.HasPrefix(name, "DOCKER-") && name != "DOCKER-USER"
}

// addValue adds the value of a rule's option, if it has it and does not negate it.
func addValue(to []string, r *iptables.Rule, option string) []string {
	if o := r.Option(option); o != nil && !o.Not && !slices.Contains(to, o.Value()) {
		to = append(to, o.Value())
	}
	return to
}
