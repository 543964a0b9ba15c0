package facts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// The names of the facts about interfaces.
const (
	InterfacesName = "interfaces"
	UplinksName    = "uplinks"
)

// external is what the policy calls the list of the host's external interfaces.
const external = "external_interfaces"

// use is a list of interfaces in a policy.
type use struct {
	// where is external, or the block with a list of its own, such as deny "scanners".
	where string
	names []string
}

// usesOf are the lists of interfaces on which traffic from outside arrives, or to the outside leaves;
// the first is that of the host. Without a policy they are read from the rules of dockerfw. Patterns
// of the interfaces of containers are returned apart: Docker makes and removes these.
func usesOf(want *snapshot.Host) (lists []use, containers []string) {
	host := use{where: external}
	for _, f := range want.Families() {
		outside, inside := want.Interfaces(f)
		host.names, containers = append(host.names, outside...), append(containers, inside...)
	}
	host.names = distinct(host.names)
	lists = []use{host}
	add := func(where string, names ...string) {
		i := slices.IndexFunc(lists, func(u use) bool { return u.where == where })
		if i < 0 {
			i = len(lists)
			lists = append(lists, use{where: where})
		}
		lists[i].names = distinct(append(lists[i].names, names...))
	}
	for _, f := range want.Families() {
		for _, r := range ownRules(want.Filter(f)) {
			if name := outer(value(r, "-i"), value(r, "-o"), host.names, containers); name != "" {
				add(identity.BlockName(r), name)
			}
		}
		for _, r := range want.RulesOnInterfaces(f) {
			if r.ID.Phase != ir.PhaseDeny && r.ID.Phase != ir.PhaseAccept {
				continue
			}
			for _, in := range orNone(r.In) {
				for _, leaves := range orNone(r.Out) {
					if name := outer(in, leaves, host.names, containers); name != "" {
						add(identity.Block(r.ID), name)
					}
				}
			}
		}
	}
	// A rule without a list of its own has the interfaces of the host.
	lists = slices.DeleteFunc(lists, func(u use) bool { return u.where != external && slices.Equal(u.names, host.names) })
	return lists, containers
}

// distinct returns names in lexical order, each once.
func distinct(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

// ownRules are the rules of deny and accept blocks. All others are for the interfaces that these and
// the host list.
func ownRules(t *iptables.Table) []*iptables.Rule {
	if t == nil {
		return nil
	}
	var out []*iptables.Rule
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if id, ok := identity.IDOf(r); ok && (id.Phase == ir.PhaseDeny || id.Phase == ir.PhaseAccept) {
				out = append(out, r)
			}
		}
	}
	return out
}

// outer is the interface to the outside of those that packets of a rule of dockerfw arrive on and leave
// on; "" for none. A rule for traffic from containers has it as the latter, and one of theirs or none as
// the former; all others have it as the former.
func outer(in, leaves string, external, containers []string) string {
	if in == "" || !slices.Contains(external, in) && (isDockerBridge(in) || matches(containers, in)) {
		return leaves
	}
	return in
}

// orNone is a list, or one with "" where it is empty.
func orNone(list []string) []string {
	if len(list) == 0 {
		return []string{""}
	}
	return list
}

// value is the value of an option that is not negated; "" without one.
func value(r *iptables.Rule, option string) string {
	if o := r.Option(option); o != nil && !o.Not {
		return o.Value()
	}
	return ""
}

// matches reports whether one of some patterns of iptables, in which + at the end is a wildcard,
// matches a name, or is the same pattern.
func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if prefix, ok := strings.CutSuffix(p, "+"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return p == name
	})
}

// Interfaces checks that each interface of a policy exists on a host, and that packets arrive on it
// by that name; and that container_interfaces, if there are any, match an interface where Docker has
// bridges. want is compiled, or the host itself without a policy; have is the host, with its network.
func Interfaces(want, have *snapshot.Host) []Fact {
	if have.Network == nil {
		return unread(want, have)
	}
	lists, containers := usesOf(want)
	var out []Fact
	var names, reported []string
	for _, u := range lists {
		for _, name := range u.names {
			names = append(names, name)
			if fault := interfaceFault(have.Network, u, name); fault != "" && !slices.Contains(reported, name) {
				reported = append(reported, name)
				out = append(out, Fact{InterfacesName, Error, fault})
			}
		}
	}
	names = distinct(names)
	if fault := noContainers(have.Network, distinct(containers)); fault != "" {
		out = append(out, Fact{InterfacesName, Warning, fault})
	}
	switch {
	case len(out) > 0:
		return out
	case len(names) == 0:
		return nil // without rules of dockerfw there is no policy
	case len(names) == 1:
		return []Fact{New(InterfacesName, OK, "%s exists", names[0])}
	}
	return []Fact{New(InterfacesName, OK, "%s exist", words.And(names))}
}

// noContainers is what is wrong with container_interfaces of which none exists although Docker has
// bridges: the rules match no packet for a container. Some of them may be missing: Docker makes a
// bridge with its network.
func noContainers(s *network.State, patterns []string) string {
	var bridges []string
	for i := range s.Links {
		name := s.Links[i].Name
		if matches(patterns, name) {
			return ""
		}
		if isDockerBridge(name) {
			bridges = append(bridges, name)
		}
	}
	if len(patterns) == 0 || len(bridges) == 0 {
		return ""
	}
	const shown = 5
	return fmt.Sprintf("no interface of this host matches container_interfaces (%s), so no traffic to containers is filtered. Docker's bridges are %s", strings.Join(patterns, ", "), words.List(bridges, shown))
}

// unread is for a host whose network was not read. Saved rules never have it.
func unread(want, have *snapshot.Host) []Fact {
	if have.NetworkUnread == "" {
		return nil
	}
	lists, _ := usesOf(want)
	var names []string
	for _, u := range lists {
		names = append(names, u.names...)
	}
	if names = distinct(names); len(names) == 0 {
		return []Fact{New(InterfacesName, Note, "%s", have.NetworkUnread)}
	}
	exist := "exists, and that the default routes are on it"
	if len(names) > 1 {
		exist = "exist, and that the default routes are on them"
	}
	return []Fact{New(InterfacesName, Note, "%s: check there that %s %s", have.NetworkUnread, words.And(names), exist)}
}

// Network returns what commands other than verify report of Interfaces and Uplinks: the faults, and
// that the network is unknown.
func Network(want, have *snapshot.Host) []Fact {
	out := append(Interfaces(want, have), Uplinks(want, have)...)
	if have.Network != nil {
		return Faults(out)
	}
	return out
}

// Named checks an interface that somebody asks about: a packet that arrives on a port of a bridge is
// one on the bridge for iptables.
func Named(have *snapshot.Host, name string) []Fact {
	if have.Network == nil || name == "" {
		return nil
	}
	switch l := have.Network.Named(name); {
	case l == nil:
		return []Fact{New(InterfacesName, Warning, "this host has no interface %s. %s", name, offer(have.Network, name))}
	case seenAs(have.Network, l) != l:
		return []Fact{New(InterfacesName, Warning, "%s", whyNever(have.Network, l))}
	}
	return nil
}

// MayComeLater reports whether a policy lists an interface that a host does not have under any name,
// or whether the host's interfaces are not known: unlike a port of a bridge or an altname, it may be
// created later.
func MayComeLater(want, have *snapshot.Host) bool {
	if have.Network == nil {
		return true
	}
	lists, _ := usesOf(want)
	for _, u := range lists {
		for _, name := range u.names {
			known := slices.ContainsFunc(have.Network.Links, func(l network.Link) bool {
				return matches([]string{name}, l.Name) || slices.Contains(l.Alternatives, name)
			})
			if !known {
				return true
			}
		}
	}
	return false
}

// FilteredOnMissing reports whether the rules of dockerfw that a host has filter on each interface of
// a policy that is missing, in each family that has rules of the policy.
func FilteredOnMissing(want, have *snapshot.Host) bool {
	lists, _ := usesOf(want)
	for _, f := range want.Families() {
		var filtered []string
		for _, r := range have.RulesOnInterfaces(f) {
			filtered = append(append(filtered, r.In...), r.Out...)
		}
		if have.Rules[f] != nil {
			for _, t := range have.Rules[f].Tables {
				for _, r := range dockerfwRules(t) {
					filtered = append(filtered, value(r, "-i"), value(r, "-o"))
				}
			}
		}
		for _, u := range lists {
			for _, name := range u.names {
				if (have.Network == nil || interfaceFault(have.Network, u, name) != "") && !slices.Contains(filtered, name) {
					return false
				}
			}
		}
	}
	return true
}

// dockerfwRules are the rules of dockerfw in a table.
func dockerfwRules(t *iptables.Table) []*iptables.Rule {
	var out []*iptables.Rule
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if identity.Ours(r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// interfaceFault is what is wrong with an interface of a policy; "" if packets arrive on it. One in a
// bridge, bond or VRF is harmless in a list that has the latter, too: lists of fleets do.
func interfaceFault(s *network.State, u use, name string) string {
	pattern := strings.HasSuffix(name, "+")
	var never *network.Link
	for i := range s.Links {
		l := &s.Links[i]
		if !matches([]string{name}, l.Name) {
			continue
		}
		if seen := seenAs(s, l); seen != nil && (seen == l || matches(u.names, seen.Name)) {
			return ""
		}
		never = l
	}
	switch {
	case never != nil && pattern:
		return fmt.Sprintf("%s in %s matches no interface on which iptables sees packets: %s", name, u.where, whyNever(s, never))
	case never != nil:
		return fmt.Sprintf("%s in %s never matches: %s", name, u.where, whyNever(s, never))
	case pattern:
		return fmt.Sprintf("no interface of this host matches %s in %s, so nothing is filtered there. %s", name, u.where, offerDefaults(s))
	}
	return fmt.Sprintf("this host has no interface %s, which %s lists, so nothing is filtered there. %s", name, u.where, offer(s, name))
}
