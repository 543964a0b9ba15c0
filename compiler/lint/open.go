package lint

import (
	"fmt"
	"slices"
	"strings"

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

// worldOpen lists the published ports, and the ports of the host, that accepts without a source
// open to everyone. One whose packets are all denied opens nothing, and neither does one of the
// input block for a port that is published.
func worldOpen(e *evidence) []finding {
	var open []openPort
	seen := map[ruleKey]bool{}
	ofHost := false
	add := func(p *parser.Policy, rules []*parser.Rule, opens func(*ruleEvidence) bool) {
		for _, r := range rules {
			external := externalInterfaces(p, r)
			outside := len(r.Interfaces) == 0 || len(external) > 0
			one := e.byKey[keyOf(r)]
			if r.Kind != parser.KindAccept || seen[keyOf(r)] || r.Source != nil || !outside || !opens(one) {
				continue
			}
			seen[keyOf(r)] = true
			ofHost = ofHost || one.toHost
			open = append(open, openPort{r, openText(r, one.toHost, external), exceptText(one.denials)})
		}
	}
	for _, p := range e.policies {
		add(p, p.Rules, func(one *ruleEvidence) bool {
			return len(one.rule.PublishedPorts) > 0 && one.outcome() != allDenied
		})
		if p.Input != nil {
			add(p, p.Input.Rules, func(one *ruleEvidence) bool {
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

// openText is the ports that an accept opens: 443/tcp on eth1 (accept "https"). An accept of the
// input block opens 22/tcp of the host, and without ports all ports of the host.
func openText(r *parser.Rule, toHost bool, external []string) string {
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
	text += fmt.Sprintf(" (%s)", title(r))
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
