package published

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// Check compares what the containers of a host publish with the rules that a policy compiles to
// for it. It fails if that takes too much memory.
func Check(want *snapshot.Host, list List) (hcl.Diagnostics, error) {
	var active []Port
	for _, p := range list.Ports {
		if p.Inactive == "" {
			active = append(active, p)
		}
	}
	decisions, err := decide(want, active)
	if err != nil {
		return nil, err
	}
	var diags hcl.Diagnostics
	for _, group := range grouped(decisions) {
		if d := group.diagnostic(); d != nil {
			diags = append(diags, d)
		}
	}
	diags = append(diags, openToEveryone(decisions)...)
	diags = append(diags, notPublished(want, list.Ports)...)
	diags = append(diags, inactive(list.Ports)...)
	more, err := others(want, list.Others)
	return append(diags, more...), err
}

// group is a decision about consecutive ports of a container.
type group struct {
	decision
	last uint16
}

// text is the ports, as in 8000-8010/tcp.
func (g *group) text() string {
	p := g.port
	p.Last = max(p.Last, g.last)
	return p.text()
}

// proxyPortsText is a range of ports as an element of proxy_ports.
func proxyPortsText(protocol uint8, first, last uint16) string {
	if first == last {
		return snapshot.ProxyPort(protocol, first)
	}
	text := fmt.Sprintf("%d-%d", first, last)
	if protocol != packet.ProtoTCP {
		text += "/" + words.Protocol(protocol)
	}
	return strconv.Quote(text)
}

// grouped joins the decisions about consecutive ports that are the same.
func grouped(decisions []decision) []group {
	sorted := slices.Clone(decisions)
	slices.SortStableFunc(sorted, func(a, b decision) int {
		return cmp.Or(strings.Compare(a.port.By, b.port.By), int(a.port.Protocol)-int(b.port.Protocol),
			a.port.Address.Compare(b.port.Address), int(a.port.First)-int(b.port.First))
	})
	var out []group
	for _, d := range sorted {
		if n := len(out); n > 0 && out[n-1].joins(&d) {
			out[n-1].last = d.port.Last
			continue
		}
		out = append(out, group{d, d.port.Last})
	}
	return out
}

func (g *group) joins(d *decision) bool {
	a, b := g.port, d.port
	return !a.chosen() && !b.chosen() && a.By == b.By && a.Protocol == b.Protocol && a.Address == b.Address && int(g.last)+1 == int(b.First) &&
		g.class() == d.class() && g.some == d.some && slices.Equal(g.leaks, d.leaks) && slices.Equal(g.byInput, d.byInput)
}

// class is what is to be said about a port; 0 for nothing.
func (d *decision) class() diag.Code {
	switch {
	case d.port.local():
		return diag.CodeLoopbackPort
	case len(d.leaks) > 0:
		return diag.CodePublishedOpen
	case !d.listed && !d.covered:
		return diag.CodeUnlistedPort
	}
	return 0
}

func (g *group) diagnostic() *hcl.Diagnostic {
	at, what := g.port.At, g.text()+" of "+g.port.By
	const example = "\n\nA packet that gets through: %s"
	switch g.class() {
	case diag.CodePublishedOpen:
		who := "clients that the policy refuses reach"
		if g.everyoneLeaks {
			who = "everyone reaches"
		}
		fix := "Close it with an input block, or list it in proxy_ports of the host block:\n\n  proxy_ports = [" + proxyPortsText(g.port.Protocol, g.port.First, max(g.port.Last, g.last)) + "]"
		why := "No rule lists it, so that INPUT protection does not cover it"
		switch {
		case len(g.byInput) > 0:
			// With proxy_ports the accept would have no effect: it may be the one for ssh.
			why, fix = "The input block accepts it"+blocksText(g.byInput), "Publish the container's port on another port of the host, or narrow that block."
		case g.port.ephemeral():
			why = fmt.Sprintf("The engine chooses a port from %d to %d, which no rule lists", g.port.First, g.port.Last)
		case g.port.chosen():
			why = "The engine chooses one of these ports, and no rule lists all of them"
		case g.listed:
			why = "The rules that list it do not protect it in INPUT"
		}
		return diag.New(diag.CodePublishedOpen, at, what+" is open through docker-proxy", fmt.Sprintf(
			"%s: %s it where docker-proxy answers on the host itself, over %s. Forwarded packets of the same clients are refused. %s"+example,
			why, who, leakText(g.leaks), fix, g.leak))
	case diag.CodeUnlistedPort:
		chosen := ""
		switch {
		case g.port.ephemeral():
			chosen = fmt.Sprintf(" The engine chooses a port from %d to %d: to list it in a rule, publish it on a port of your choice.", g.port.First, g.port.Last)
		case g.port.chosen():
			chosen = " The engine chooses one of these ports: a rule has to list all of them."
		}
		summary := what + " is in no rule"
		switch {
		case g.everyone:
			return diag.Warn(diag.CodeUnlistedPort, at, summary, "The default is open, so that everyone reaches it. List it in an accept with a source, or close the default."+chosen)
		case g.some:
			return diag.Note(diag.CodeUnlistedPort, at, summary, "The default alone decides: clients in default.allow reach it, and everyone else is refused. To say that this is meant, list it in proxy_ports of the host block."+chosen)
		}
		return diag.Warn(diag.CodeUnlistedPort, at, summary,
			"The default refuses everyone, so that nobody reaches it from outside. List it in an accept, or do not publish it. To keep it closed and say so, list it in proxy_ports of the host block."+chosen)
	case diag.CodeLoopbackPort:
		const before28 = " Engines before 28 also forward it for clients on the same network segment"
		summary := what + " is published on a loopback address"
		switch {
		case g.everyone:
			return diag.Warn(diag.CodeLoopbackPort, at, summary, "It cannot be reached from outside with current engines."+before28+", and the policy lets everyone through"+blocksText(g.accepts)+".")
		case g.some:
			return diag.Note(diag.CodeLoopbackPort, at, summary, "It cannot be reached from outside with current engines."+before28+", and the policy lets some of them through"+blocksText(g.accepts)+".")
		}
		return diag.Note(diag.CodeLoopbackPort, at, summary, "It cannot be reached from outside."+before28+"; the policy refuses them.")
	}
	return nil
}

// leakText is when docker-proxy answers clients, by the families in which they get through.
func leakText(leaks []ir.Family) string {
	const v6 = "IPv6 where the container's network has no IPv6 or the client has a link-local address"
	const both = ", and over IPv4 while Docker's nat rules are missing"
	switch {
	case !slices.Contains(leaks, ir.IPv6):
		return "IPv4 while Docker's nat rules are missing"
	case slices.Contains(leaks, ir.IPv4):
		return v6 + both
	}
	return v6
}

// blocksText lists accept blocks: " (accept "https")".
func blocksText(ids []ir.RuleID) string {
	if len(ids) == 0 {
		return ""
	}
	var names []string
	for _, id := range ids {
		names = append(names, blockName(id))
	}
	const shown = 4
	return " (" + words.List(names, shown) + ")"
}

func blockName(id ir.RuleID) string { return identity.Block(id) }

// openToEveryone is one note that lists the ports that rules open to everyone.
func openToEveryone(decisions []decision) hcl.Diagnostics {
	var open []decision
	for _, d := range decisions {
		if d.everyone && !d.port.local() && len(d.accepts) > 0 {
			open = append(open, d)
		}
	}
	if len(open) == 0 {
		return nil
	}
	var texts []string
	var places []hcl.Range
	for _, g := range grouped(open) {
		texts = append(texts, g.text()+" of "+g.port.By+blocksText(g.accepts))
		if !slices.Contains(places, g.port.At) {
			places = append(places, g.port.At)
		}
	}
	d := diag.Note(diag.CodeWorldOpen, places[0], "published ports open to everyone", strings.Join(texts, "; ")+".")
	for _, at := range places[1:] {
		diag.WithRelated(d, "open to everyone", at)
	}
	return hcl.Diagnostics{d}
}

// notPublished finds the ports that accept blocks list and no container publishes. Services that
// were left out count: they may run some other time.
func notPublished(want *snapshot.Host, ports []Port) hcl.Diagnostics {
	type missing struct {
		id          ir.RuleID
		none, local []string
		// by publishes the ports of local.
		by string
	}
	var all []*missing
	seen := map[string]bool{}
	for _, f := range want.Families() {
		for _, l := range rulesWithPorts(want)[f] {
			if l.id.Phase != ir.PhaseAccept {
				continue
			}
			for _, r := range l.published {
				for _, protocol := range l.protocols {
					text := portsText(protocol, r.First, r.Last)
					key := fmt.Sprintf("%v %s", l.id, text)
					if seen[key] {
						continue
					}
					seen[key] = true
					local, by, published := publisher(ports, l, protocol, r)
					if published && !local {
						continue
					}
					i := slices.IndexFunc(all, func(m *missing) bool { return m.id == l.id })
					if i < 0 {
						i, all = len(all), append(all, &missing{id: l.id})
					}
					if local {
						all[i].local, all[i].by = append(all[i].local, text), by
					} else {
						all[i].none = append(all[i].none, text)
					}
				}
			}
		}
	}
	var diags hcl.Diagnostics
	for _, m := range all {
		at := want.OriginOf(m.id).Range
		if len(m.none) > 0 {
			diags = append(diags, diag.Warn(diag.CodeNotPublished, at, fmt.Sprintf("%s: %s not published", blockName(m.id), isOrAre(m.none)),
				"No container publishes it: the rule has no effect there until one does, and then the clients of the rule reach that container. Remove the port, or publish it."))
		}
		if len(m.local) > 0 {
			diags = append(diags, diag.Warn(diag.CodeNotPublished, at, fmt.Sprintf("%s: %s published on a loopback address only", blockName(m.id), isOrAre(m.local)),
				fmt.Sprintf("The clients of the rule do not reach it: %s publishes it for the host itself. Publish it on an address of the host, or remove the port from the rule.", m.by)))
		}
	}
	return diags
}

// isOrAre lists ports as the subject of a sentence.
func isOrAre(ports []string) string {
	const shown = 6
	if len(ports) == 1 {
		return ports[0] + " is"
	}
	return words.List(ports, shown) + " are"
}

// publisher looks for a container that publishes a port of a range, where a rule that lists it is
// about it; local reports that all of
// them do so on a loopback address.
func publisher(ports []Port, l listing, protocol uint8, r ir.PortRange) (local bool, by string, published bool) {
	for i := range ports {
		p := &ports[i]
		if p.Protocol != protocol || p.Last < r.First || p.First > r.Last || !p.local() && !l.at(p) {
			continue
		}
		if !p.local() {
			return false, p.By, true
		}
		local, by, published = true, p.By, true
	}
	return local, by, published
}

// inactive notes the services that were left out.
func inactive(ports []Port) hcl.Diagnostics {
	var diags hcl.Diagnostics
	seen := map[string]bool{}
	for i := range ports {
		p := &ports[i]
		if p.Inactive == "" || seen[p.By] {
			continue
		}
		seen[p.By] = true
		diags = append(diags, diag.Note(diag.CodeInactive, p.At, p.By+" is left out",
			fmt.Sprintf("It publishes ports, and runs only with %s. To compare it too, add --profile.", p.Inactive)))
	}
	return diags
}

// others reports the containers that are reached without published ports.
func others(want *snapshot.Host, list []Container) (hcl.Diagnostics, error) {
	var diags hcl.Diagnostics
	open, err := hostOpen(want)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		switch {
		case c.Network != "" && c.Driver == "", c.Shares != "":
			continue
		case c.Driver != "":
			diags = append(diags, diag.Warn(diag.CodeOwnAddress, c.At, fmt.Sprintf("%s has an address of its own in network %s (%s)", c.By, c.Network, c.Driver),
				"Packets for it pass no rules of the host, so that the policy does not filter them: all its ports are open to everyone in that network. Filter them in the container or on the router, or use a bridge network."))
		case open:
			diags = append(diags, diag.Warn(diag.CodeHostNetwork, c.At, c.By+" uses the network of the host",
				"The ports it listens on are ports of the host: no rule for published ports applies, and only an input block closes them. The policy closes none that no rule lists. Add an input block; it lists what is to be reached:\n\n  input {\n    accept \"ssh\" {\n      protocol = \"tcp\"\n      ports    = [22]\n    }\n  }"))
		default:
			diags = append(diags, diag.Note(diag.CodeHostNetwork, c.At, c.By+" uses the network of the host",
				"The ports it listens on are ports of the host: the input block decides, and closes those that no accept lists in ports."))
		}
	}
	return append(diags, unknown(list)...), nil
}

// unknown notes what decides how containers are reached, and is not known: one note for each network
// or container.
func unknown(list []Container) hcl.Diagnostics {
	type key struct{ network, shares string }
	var keys []key
	users := map[key][]Container{}
	for _, c := range list {
		k := key{c.Network, c.Shares}
		if c.Driver != "" || k == (key{}) {
			continue
		}
		if users[k] == nil {
			keys = append(keys, k)
		}
		users[k] = append(users[k], c)
	}
	const open = "packets for it pass no rules of the host, and all its ports are open to everyone in that network"
	var diags hcl.Diagnostics
	for _, k := range keys {
		first := users[k][0]
		by := []string{}
		for _, c := range users[k] {
			by = append(by, c.By)
		}
		const shown = 6
		who, verb := words.List(by, shown), "uses"
		if len(by) > 1 {
			verb = "use"
		}
		what, why, command := "the network "+k.network, "It is not defined in these files: if its driver is macvlan or ipvlan, a container there has an address of its own: "+open+". The driver is shown, on the host, by:",
			shell.Command("docker", "network", "inspect", "--format", "{{.Driver}}", k.network)
		if k.shares != "" {
			what, why, command = "the network of container "+k.shares, "That container is not in these files. If it is in the network of the host, no rule for published ports applies; if it has an address of its own (macvlan, ipvlan), "+open+". Its network is shown, on the host, by:",
				shell.Command("docker", "inspect", "--format", "{{.HostConfig.NetworkMode}}", k.shares)
		}
		diags = append(diags, diag.Note(diag.CodeUnknownNetwork, first.At, fmt.Sprintf("%s %s %s, which is not known here", who, verb, what), why+"\n\n  "+command))
	}
	return diags
}
