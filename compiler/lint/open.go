package lint

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// openPort is an accept that opens ports to everyone.
type openPort struct {
	rule *parser.Rule
	// text is the ports, the interfaces and the accept; except is what denies refuse of them.
	text, except string
}

// worldOpen lists the published ports, and the ports of the host, that accepts without a source, or
// with one that contains every address of a family, open to everyone. One whose packets are all denied opens nothing, and neither does one of the
// input block for a port that is published.
func worldOpen(e *evidence) []finding {
	var open []openPort
	seen := map[ruleKey]bool{}
	ofHost := false
	add := func(p *parser.Policy, rules []*parser.Rule, sets addressesOfSets, opens func(*ruleEvidence) bool) {
		for _, r := range rules {
			external := externalInterfaces(p, r)
			outside := len(r.Interfaces) == 0 || len(external) > 0
			one := e.byKey[keyOf(r)]
			if r.Kind != parser.KindAccept || seen[keyOf(r)] || !outside || !opens(one) {
				continue
			}
			everyone := openFamilies(p, r.Source, sets)
			if len(everyone) == 0 {
				continue
			}
			seen[keyOf(r)] = true
			ofHost = ofHost || one.toHost
			open = append(open, openPort{r, openText(r, one.toHost, external, familyText(p, everyone)), exceptText(one.denials)})
		}
	}
	for _, p := range e.policies {
		sets := setAddresses(p, e.lists)
		add(p, p.Rules, sets, func(one *ruleEvidence) bool {
			return len(one.rule.PublishedPorts) > 0 && one.outcome() != allDenied
		})
		if p.Input != nil {
			add(p, p.Input.Rules, sets, func(one *ruleEvidence) bool {
				outcome := one.outcome()
				return opensHost(one.rule) && outcome != allDenied && outcome != unreachable
			})
		}
	}
	if len(open) == 0 {
		return nil
	}
	out := finding{place: open[0].rule.Name.Range, summary: "published ports open to everyone", detail: openPortsText(open) + "."}
	if ofHost {
		out.summary = "ports open to everyone"
	}
	for _, o := range open[1:] {
		out.related = append(out.related, diag.Related{Message: title(o.rule), Range: o.rule.Name.Range})
	}
	return []finding{out}
}

// opensHost reports whether an accept of the input block is for packets to ports. Those of other
// protocols are left to the host with or without it.
func opensHost(r *parser.Rule) bool {
	withPorts := slices.ContainsFunc(r.Protocols, func(p parser.At[parser.Protocol]) bool { return p.Value.HasPorts() })
	return len(r.ICMPTypes) == 0 && (len(r.Protocols) == 0 || withPorts)
}

// wholeFamilies are all addresses of each family.
var wholeFamilies = map[ir.Family]netip.Prefix{
	ir.IPv4: netip.PrefixFrom(netip.IPv4Unspecified(), 0), ir.IPv6: netip.PrefixFrom(netip.IPv6Unspecified(), 0),
}

// openFamilies are the families of a policy of which a list contains every address; all for no list.
func openFamilies(p *parser.Policy, list *parser.Addresses, sets addressesOfSets) (out []ir.Family) {
	if list == nil {
		return families(p)
	}
	all := elements(list, sets)
	for _, f := range families(p) {
		whole := netipx.RangeOfPrefix(wholeFamilies[f])
		contained := func(a netip.Addr) bool {
			return slices.ContainsFunc(all, func(x element) bool { return x.addresses != nil && x.addresses.Contains(a) })
		}
		if !contained(whole.From()) || !contained(whole.To()) { // so that long lists are rarely subtracted
			continue
		}
		rest := packet.NewAddrSet("", []netip.Prefix{wholeFamilies[f]})
		for _, x := range all {
			if x.addresses != nil {
				rest = rest.Minus(x.addresses)
			}
		}
		if rest.IsEmpty() {
			out = append(out, f)
		}
	}
	return out
}

// familyText is the families that something is limited to, "" if they are all of a policy.
func familyText(p *parser.Policy, some []ir.Family) string {
	if len(some) == len(families(p)) {
		return ""
	}
	return " over " + familyNames[some[0]]
}

var familyNames = map[ir.Family]string{ir.IPv4: "IPv4", ir.IPv6: "IPv6"}

// openDefault finds sets in default.allow that contain every address of a family together. The
// compiler reports literals that do.
func openDefault(e *evidence) (out []finding) {
	for _, p := range e.policies {
		allow := p.Default.Allow
		if allow == nil || p.Default.Action == parser.ActionReturn {
			continue
		}
		literals := &parser.Addresses{}
		for _, item := range allow.Items {
			if item.Set == "" {
				literals.Items = append(literals.Items, item)
			}
		}
		reported := openFamilies(p, literals, nil)
		for _, f := range openFamilies(p, allow, setAddresses(p, e.lists)) {
			if !slices.Contains(reported, f) {
				name := familyNames[f]
				out = append(out, finding{
					place: allow.Range, summary: "open by default for " + name,
					detail: fmt.Sprintf("The sets in allow contain every %s address, so every client that is not denied reaches the published ports. List only the addresses of clients to admit.", name),
				})
			}
		}
	}
	return out
}

// openText is the ports that an accept opens: 443/tcp on eth1 (accept "https"). An accept of the
// input block opens 22/tcp of the host, and without ports all ports of the host.
func openText(r *parser.Rule, toHost bool, external []string, over string) string {
	var protocols, ports []string
	for _, n := range r.Protocols {
		protocols = append(protocols, packet.Proto{Numbers: []uint8{n.Value.Number}}.Name())
	}
	for _, port := range slices.Concat(r.PublishedPorts, r.HostPorts) {
		ports = append(ports, portText(port.Value)+"/"+strings.Join(protocols, "+"))
	}
	text := strings.Join(ports, ", ")
	if toHost {
		if len(ports) == 0 {
			text = "all ports"
			if len(protocols) > 0 {
				text = "all " + strings.Join(protocols, "+") + " ports"
			}
		}
		text += " of the host"
	}
	if len(external) > 0 {
		text += " on " + strings.Join(external, ", ")
	}
	text += fmt.Sprintf("%s (%s)", over, title(r))
	if r.Expires != nil {
		text += ", " + packet.Until{End: r.Expires.Value.Unix()}.String()
	}
	if r.SourceNot != nil {
		text += ", except source_not"
	}
	return text
}

// openPortsText joins open ports; an exception that all have in common is written once.
func openPortsText(open []openPort) string {
	var texts []string
	common := len(open) > 1 && open[0].except != ""
	for _, o := range open {
		common = common && o.except == open[0].except
	}
	for _, o := range open {
		if common {
			texts = append(texts, o.text)
		} else {
			texts = append(texts, o.text+o.except)
		}
	}
	text := strings.Join(texts, "; ")
	if common {
		text += "; all of them" + strings.TrimPrefix(open[0].except, ",")
	}
	return text
}

// exceptText lists the first denies that refuse some of what an accept opens.
func exceptText(denials []*denial) string {
	if len(denials) == 0 {
		return ""
	}
	const shown = 4
	var words []string
	for _, d := range denials[:min(shown, len(denials))] {
		words = append(words, title(d.deny))
	}
	text := ", except what " + strings.Join(words, ", ")
	switch n := len(denials) - shown; {
	case n > 0:
		return text + fmt.Sprintf(" and %d more refuse", n)
	case len(denials) > 1:
		return text + " refuse"
	}
	return text + " refuses"
}

// externalInterfaces returns the interfaces of a rule that are external.
func externalInterfaces(p *parser.Policy, r *parser.Rule) []string {
	var out []string
	for _, i := range r.Interfaces {
		if slices.ContainsFunc(p.Host.ExternalInterfaces, func(e parser.At[string]) bool {
			return parser.Covers(e.Value, i.Value) || parser.Covers(i.Value, e.Value)
		}) {
			out = append(out, i.Value)
		}
	}
	return out
}
