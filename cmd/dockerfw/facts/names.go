package facts

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// dockerBridge is a name that engines give to bridges: that of the default network, of Swarm's
// gateway, and of a network without a name of its own. People call bridges br-lan.
var dockerBridge = regexp.MustCompile(`^(docker0|docker_gwbridge|br-[0-9a-f]{12})$`)

func isDockerBridge(name string) bool { return dockerBridge.MatchString(name) }

// seenAs is the interface on which iptables sees the packets that arrive on another one: the bridge,
// bond or VRF that the other is in, or itself (docs/operations.md, "Which interface names"). It is nil
// for a port of Open vSwitch, whose configuration tells where packets go.
func seenAs(s *network.State, l *network.Link) *network.Link {
	for range s.Links {
		to := s.Link(l.Controller)
		switch {
		case to == nil:
			return l
		case to.Kind == "openvswitch":
			return nil
		}
		l = to
	}
	return l
}

// whyNever says why iptables sees no packet on an interface, and which name is right.
func whyNever(s *network.State, l *network.Link) string {
	seen, in := seenAs(s, l), s.Link(l.Controller)
	if seen == nil {
		return fmt.Sprintf("%s is a port of Open vSwitch. Write the internal port that has the address. %s", l.Name, offerDefaults(s))
	}
	switch in.Kind {
	case "bridge":
		return fmt.Sprintf("%s is a port of the bridge %s, and iptables sees its packets on %s. Write %[3]s", l.Name, in.Name, seen.Name)
	case "vrf":
		return fmt.Sprintf("%s is in the VRF %s, and iptables sees its forwarded packets on %s. Write %[3]s", l.Name, in.Name, seen.Name)
	}
	return fmt.Sprintf("%s is part of %s, and iptables sees its packets on %s. Write %[3]s", l.Name, in.Name, seen.Name)
}

// offer is the right name instead of one that does not exist: that of an altname, the nearest one, or
// those of the default routes.
func offer(s *network.State, name string) string {
	var known []string
	for i := range s.Links {
		l := &s.Links[i]
		seen := seenAs(s, l)
		if seen == nil {
			continue
		}
		if slices.Contains(l.Alternatives, name) {
			return fmt.Sprintf("It is an altname, which iptables does not know. Write %s", seen.Name)
		}
		if seen == l && !inside(s, l) {
			known = append(known, l.Name)
		}
	}
	if near := suggest.Nearest(name, known); len(near) > 0 {
		return fmt.Sprintf("Did you mean %s? %s", near[0], offerDefaults(s))
	}
	return offerDefaults(s)
}

// offerDefaults lists the interfaces of the default routes.
func offerDefaults(s *network.State) string {
	var names []string
	for _, r := range s.Defaults {
		if l := s.Link(r.Link); l != nil && seenAs(s, l) != nil {
			names = append(names, seenAs(s, l).Name)
		}
	}
	switch names = distinct(names); {
	case len(names) == 0 && len(s.Defaults) > 0:
		return "The interface of the default route is not known"
	case len(names) == 0:
		return "This host has no default route"
	case len(names) == 1:
		return "The default route is on " + names[0]
	}
	return "The default routes are on " + words.And(names)
}

// libvirtPort is a name that libvirt gives to the TAP device of a virtual machine. That of a VPN in
// bridge mode is tap0.
var libvirtPort = regexp.MustCompile(`^vnet[0-9]+$`)

// inside reports whether nothing but the host itself, its containers and its virtual machines is
// behind an interface: the loopback, and a bridge of which all ports are virtual cables. A TAP device
// may be that of a VPN, and whoever is on the other side of it is not inside.
func inside(s *network.State, l *network.Link) bool {
	if l.Loopback || l.Kind == "dummy" || isDockerBridge(l.Name) {
		return true
	}
	return l.Kind == "bridge" && !slices.ContainsFunc(s.Links, func(port network.Link) bool {
		return port.Controller == l.Index && port.Kind != "veth" && !(port.Kind == "tuntap" && libvirtPort.MatchString(port.Name))
	})
}
