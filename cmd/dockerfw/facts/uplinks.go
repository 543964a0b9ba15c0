package facts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
)

// Uplinks checks that a policy lists each interface that the outside may be on: those of the default
// routes, those with a global address, and those with an IPv6 link-local one, at which neighbors reach
// docker-proxy. internal_interfaces of the policy count as listed, and bridges to containers do not matter. want and have are as for Interfaces.
func Uplinks(want, have *snapshot.Host) []Fact {
	lists, containers := usesOf(want)
	external := lists[0].names
	listed := append(slices.Clone(external), want.Internal...)
	if have.Network == nil || len(external) == 0 {
		return nil
	}
	containers = slices.DeleteFunc(containers, func(name string) bool { return strings.HasSuffix(name, "+") })
	for _, f := range have.Families() {
		containers = append(containers, have.Bridges(f)...)
	}
	var out []Fact
	var names, open []string
	if families := defaultsOn(have.Network, 0); len(families) > 0 {
		out = append(out, New(UplinksName, Warning, "the %s default route leads to a nexthop object, and the kernel does not report the interface of it: whether external_interfaces lists that is not known. To have it reported: sysctl -w net.ipv4.nexthop_compat_mode=1", words.And(families)))
	}
	for _, u := range uplinksOf(have.Network) {
		if !u.route && matches(containers, u.name) && !matches(listed, u.name) {
			continue
		}
		if matches(external, u.name) {
			names = append(names, u.name)
		} else {
			open = append(open, u.name)
		}
		if !matches(listed, u.name) {
			out = append(out, New(UplinksName, Warning, "%s, and external_interfaces does not list %s: published ports are open to everyone who can reach them there. Add it, or list it in internal_interfaces if everyone there may connect", u.why, u.name))
		}
	}
	switch {
	case len(out) > 0:
		return out
	case len(names)+len(open) == 0:
		return []Fact{New(UplinksName, Note, "this host has neither a default route nor a global address")}
	}
	text := words.And(names)
	switch {
	case len(names) == 0:
		text = words.And(open) + ", as internal only, so that published ports are open to everyone there"
	case len(open) > 0:
		text += ", and as internal " + words.And(open) + ", so that published ports are open to everyone there"
	}
	return []Fact{New(UplinksName, OK, "the policy lists all interfaces with a default route or a global address: %s", text)}
}

// Uplink is an interface that the outside may be on, and in Why the sentence that says so. Route: a
// default route is on it.
type Uplink struct {
	Name, Why string
	Route     bool
}

// External returns the interfaces of a host that the outside may be on, by the names that iptables
// sees: those of the default routes and those with a global address, without bridges to containers,
// of which some are given. It is what Uplinks expects a policy to list.
func External(s *network.State, bridges []string) []Uplink {
	var out []Uplink
	for _, u := range uplinksOf(s) {
		if u.route || !matches(bridges, u.name) {
			out = append(out, Uplink{u.name, u.why, u.route})
		}
	}
	return out
}

// uplink is an interface that the outside may be on, by the name that iptables sees.
type uplink struct {
	// why is the sentence that says so.
	name, why string
	// route: a default route is on it.
	route bool
}

func uplinksOf(s *network.State) []uplink {
	var out []uplink
	add := func(l *network.Link, has string, route bool) {
		seen := seenAs(s, l)
		if seen == nil || seen.Loopback {
			return
		}
		why := fmt.Sprintf("%s has %s", l.Name, has)
		if seen != l {
			why += fmt.Sprintf(" and is part of %s", seen.Name)
		}
		is := func(name string) bool {
			return slices.ContainsFunc(out, func(u uplink) bool { return u.name == name })
		}
		if !is(seen.Name) {
			out = append(out, uplink{seen.Name, why, route})
		}
		for below := s.Link(l.Lower); shares(l.Kind) && below != nil; l, below = below, s.Link(below.Lower) {
			if seen = seenAs(s, below); seen != nil && !is(seen.Name) {
				out = append(out, uplink{seen.Name, fmt.Sprintf("packets for the addresses of %s can arrive on %s, which carries it", l.Name, below.Name), route})
			}
		}
	}
	for i := range s.Links {
		if families := defaultsOn(s, s.Links[i].Index); len(families) > 0 {
			add(&s.Links[i], fmt.Sprintf("the %s default route", words.And(families)), true)
		}
	}
	for i := range s.Links {
		if l := &s.Links[i]; len(l.Addresses) > 0 && !inside(s, l) {
			add(l, fmt.Sprintf("the address %s", l.Addresses[0]), false)
		}
	}
	// The other end of a virtual cable is another namespace of this host.
	for i := range s.Links {
		l := &s.Links[i]
		if seen := seenAs(s, l); l.LinkLocal.IsValid() && l.Kind != "veth" && !inside(s, l) && seen != nil && !inside(s, seen) {
			add(l, fmt.Sprintf("the link-local address %s", l.LinkLocal), false)
		}
	}
	return out
}

// shares reports whether a kind of interface shares the link of the one that it is on. The kernel
// accepts packets for any of its addresses on any interface, so that neighbors can send those of the
// upper interface to the lower one; of an IPVLAN, packets for the addresses of containers arrive there
// anyway.
func shares(kind string) bool {
	return slices.Contains([]string{"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"}, kind)
}

// defaultsOn are the families whose default route is on an interface.
func defaultsOn(s *network.State, index int) []string {
	var out []string
	for _, r := range s.Defaults {
		if r.Link == index {
			out = append(out, words.Family(r.Family))
		}
	}
	return out
}
