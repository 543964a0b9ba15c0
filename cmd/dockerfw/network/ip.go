package network

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Commands are those of ip(8) that print what [FromIP] reads, without the name of the program. Names
// of routing tables, scopes and types are printed as numbers. The routes are those that contain a
// half of the IPv4 addresses or the IPv6 internet: a router can have a million others.
func Commands() []string {
	return []string{addressCommand, ruleCommand4, routeCommand4a, routeCommand4b, ruleCommand6, routeCommand6}
}

const (
	addressCommand = "-N -j -d address show"
	ruleCommand4   = "-N -j -4 rule show"
	routeCommand4a = "-N -j -4 route show table all to match 0.0.0.0/1"
	routeCommand4b = "-N -j -4 route show table all to match 128.0.0.0/1"
	ruleCommand6   = "-N -j -6 rule show"
	routeCommand6  = "-N -j -6 route show table all to match 2000::/3"
)

// The numbers of scopes, types of routes and tables, as in linux/rtnetlink.h.
const (
	scopeGlobal = "0"
	typeUnicast = "1"
	tableMain   = "254"
)

type ipLink struct {
	Index        int      `json:"ifindex"`
	Name         string   `json:"ifname"`
	Alternatives []string `json:"altnames"`
	Flags        []string `json:"flags"`
	Master       string   `json:"master"`
	// Link is the interface below; if that is in another namespace, ip prints its index instead.
	Link string `json:"link"`
	Info struct {
		Kind string `json:"info_kind"`
		Data struct {
			Table json.RawMessage `json:"table"`
			Link  string          `json:"link"`
		} `json:"info_data"`
	} `json:"linkinfo"`
	Addresses []struct {
		Local  string `json:"local"`
		Length int    `json:"prefixlen"`
		Scope  string `json:"scope"`
	} `json:"addr_info"`
}

type ipRule struct {
	Table string `json:"table"`
}

type ipRoute struct {
	Type     string `json:"type"`
	To       string `json:"dst"`
	Device   string `json:"dev"`
	Table    string `json:"table"`
	NextHops []struct {
		Device string `json:"dev"`
	} `json:"nexthops"`
}

// FromIP returns the network of a host from the output of [Commands], which output returns for each.
// Where a kernel has no routing rules, ip fails, and the main table counts.
func FromIP(output func(command string) ([]byte, error)) (*State, error) {
	var links []ipLink
	if err := read(output, addressCommand, &links); err != nil {
		return nil, err
	}
	s := &State{}
	names := map[string]int{"": 0}
	for _, l := range links {
		names[l.Name] = l.Index
	}
	vrfTables := []string{tableMain}
	for _, l := range links {
		out := Link{
			Index: l.Index, Name: l.Name, Alternatives: l.Alternatives, Kind: l.Info.Kind,
			Controller: names[l.Master], Loopback: slices.Contains(l.Flags, "LOOPBACK"),
		}
		switch l.Info.Kind {
		case "":
			out.Kind = "device"
		case "vxlan":
			out.Lower = names[l.Info.Data.Link]
		case "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap":
			out.Lower = names[l.Link]
		case "vrf":
			var number json.Number
			if json.Unmarshal(l.Info.Data.Table, &number) == nil {
				vrfTables = append(vrfTables, number.String())
			}
		}
		for _, a := range l.Addresses {
			addr, err := netip.ParseAddr(a.Local)
			if err != nil {
				return nil, fmt.Errorf("ip %s: interface %s: %w", addressCommand, l.Name, err)
			}
			switch {
			case a.Scope == scopeGlobal:
				out.Addresses = append(out.Addresses, netip.PrefixFrom(addr, a.Length))
			case addr.Is6() && addr.IsLinkLocalUnicast():
				out.LinkLocal = addr
			}
		}
		s.Links = append(s.Links, out)
	}
	slices.SortFunc(s.Links, func(a, b Link) int { return a.Index - b.Index })
	for _, family := range []struct {
		is     ir.Family
		rules  string
		routes []string
	}{{ir.IPv4, ruleCommand4, []string{routeCommand4a, routeCommand4b}}, {ir.IPv6, ruleCommand6, []string{routeCommand6}}} {
		tables := slices.Clone(vrfTables)
		var rules []ipRule
		if read(output, family.rules, &rules) == nil {
			for _, r := range rules {
				tables = append(tables, r.Table)
			}
		}
		for _, command := range family.routes {
			var routes []ipRoute
			if err := read(output, command, &routes); err != nil {
				if family.is == ir.IPv6 {
					break // the kernel has no IPv6
				}
				return nil, err
			}
			if err := s.addDefaults(family.is, routes, tables, names); err != nil {
				return nil, fmt.Errorf("ip %s: %w", command, err)
			}
		}
	}
	return s, nil
}

// read parses the output of a command; an empty one is an empty list.
func read[T any](output func(string) ([]byte, error), command string, into *[]T) error {
	text, err := output(command)
	if err != nil || len(text) == 0 {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("ip %s: %w", command, err)
	}
	return nil
}

// addDefaults adds the default routes in the tables that rules lead to.
func (s *State) addDefaults(f ir.Family, routes []ipRoute, tables []string, names map[string]int) error {
	for _, r := range routes {
		if r.To != "default" {
			to, err := netip.ParsePrefix(r.To)
			if err != nil {
				return err
			}
			if !isDefault(to) {
				continue
			}
		}
		table := r.Table
		if table == "" {
			table = tableMain
		}
		if r.Type != "" && r.Type != typeUnicast || !slices.Contains(tables, table) {
			continue
		}
		devices := []string{r.Device}
		if r.Device == "" && len(r.NextHops) > 0 {
			devices = nil
			for _, hop := range r.NextHops {
				devices = append(devices, hop.Device)
			}
		}
		for _, device := range devices {
			if d := (DefaultRoute{f, names[device]}); !slices.Contains(s.Defaults, d) {
				s.Defaults = append(s.Defaults, d)
			}
		}
	}
	return nil
}
