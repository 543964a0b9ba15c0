package parser

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// Chains of Docker that forwarded packets pass.
const (
	ChainDockerUser = "DOCKER-USER"
	ChainDocker     = "DOCKER"
)

// hostVariables reads the host's values for variables. They are constants.
func (b *block) hostVariables() map[string]given {
	v, ok := b.attr("variables")
	if !ok {
		return nil
	}
	expr := b.expr("variables")
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		b.error(diag.CodeType, expr.Range(), "variables is not an object", "variables takes an object, such as { offices = [\"192.0.2.10\"] }, but this is %s.", describe(v.Value))
		return nil
	}
	written := writtenPairs(expr, b.ctx)
	out := map[string]given{}
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		g := given{value: value, rng: expr.Range()}
		if pair, ok := written[key.AsString()]; ok {
			g.rng, g.expr = hcl.RangeBetween(pair.Key.Range(), pair.Value.Range()), pair.Value
		}
		out[key.AsString()] = g
	}
	return out
}

// hostBlock decodes a host block.
func (b *block) hostBlock() *Host {
	h := &Host{Name: hostLabel(b.decl), DeclRange: b.decl.DefRange}
	h.ExternalInterfaces = b.interfaces("external_interfaces")
	if it, _ := b.attr("external_interfaces"); b.isEmptyList("external_interfaces") {
		b.error(diag.CodeInterface, it.rng, "no external interface", "List at least one interface on which traffic from outside arrives, such as [\"eth0\"].")
	}
	h.ContainerInterfaces = b.interfaces("container_interfaces")
	h.InternalInterfaces = b.interfaces("internal_interfaces")
	for _, i := range h.InternalInterfaces {
		for _, e := range h.ExternalInterfaces {
			switch {
			case Covers(e.Value, i.Value):
				b.error(diag.CodeConflict, i.Range, fmt.Sprintf("interface %q internal and external", i.Value), "%q in external_interfaces covers it, so that rules match there. Remove one of them.", e.Value)
			case Covers(i.Value, e.Value):
				b.error(diag.CodeConflict, i.Range, fmt.Sprintf("interface %q internal and external", e.Value), "%q covers it, and every other interface of such a name would count as internal. List the internal ones one by one.", i.Value)
			}
		}
	}
	h.IPv4, h.IPv6 = b.families()
	h.Target = Target(b.choice("target").Value)
	b = b.forTarget(h.Target)

	h.Chain = b.choice("chain")
	install := InstallReplace
	if h.Chain.Value == ChainDocker {
		install = InstallInsert
	}
	written := b.choiceOr("install", string(install))
	h.Install = At[Install]{Install(written.Value), written.Range}
	if h.Chain.Value == ChainDocker {
		b.warn(diag.CodeChainDocker, h.Chain.Range, "rules in chain DOCKER",
			"Docker engines since 17.06 have DOCKER-USER for this purpose. Current ones insert the ACCEPT of each newly published port above dockerfw's rules in DOCKER, so that the port is open to everyone. Leave chain out unless the engine is older.")
		if h.Install.Value != InstallInsert {
			b.error(diag.CodeConflict, h.Install.Range, fmt.Sprintf("install = %q in chain DOCKER", h.Install.Value),
				"The other rules in DOCKER belong to Docker. Only install = \"insert\" keeps them.")
		}
	}
	fallback := VerdictAccept
	if h.Install.Value == InstallJump {
		fallback = VerdictReturn
	}
	h.Verdict = Verdict(b.choiceOr("verdict", string(fallback)).Value)

	h.InputGuard = b.flag("input_guard")
	h.ProxyPorts = b.proxyPorts()
	if !h.InputGuard && len(h.ProxyPorts) > 0 {
		b.error(diag.CodeConflict, b.rng("proxy_ports"), "proxy_ports with input_guard = false",
			"proxy_ports lists ports to protect in INPUT, which input_guard = false turns off. Leave one of the two out.")
	}
	return h
}

// onlyIPTables are the attributes of a host that have no meaning in a table of nft, and why.
var onlyIPTables = []Exception{
	{"chain", "With target = \"nftables\" the rules are in a table of their own, not in a chain of Docker. Remove chain."},
	{"install", "With target = \"nftables\" the rules are in a table of their own, which loading replaces as a whole. Remove install."},
	{"verdict", "With target = \"nftables\" an accept only ends dockerfw's own chain: Docker's tables always decide as well, as with verdict = \"return\". Remove verdict."},
}

// forTarget returns b without the attributes that do not apply to the target, and reports those.
func (b *block) forTarget(t Target) *block {
	if t != TargetNFTables {
		return b
	}
	out := *b
	out.attributes = maps.Clone(b.attributes)
	for _, a := range onlyIPTables {
		if b.has(a.In) {
			b.error(diag.CodeConflict, b.rng(a.In), a.In+" with target = \"nftables\"", "%s", a.Because)
			delete(out.attributes, a.In)
		}
	}
	return &out
}

// proxyPorts reads ports with protocols: 8080, "8000-8010" and "53/udp". The default is
// TCP, as for docker run --publish.
func (b *block) proxyPorts() []At[ProxyPorts] {
	items, _ := b.list("proxy_ports")
	var out []At[ProxyPorts]
	for _, it := range items {
		p, code, problem := parseProxyPorts(it)
		if problem != "" {
			b.error(code, it.rng, "not a "+code.String(), "%s", problem)
			continue
		}
		i := slices.IndexFunc(out, func(o At[ProxyPorts]) bool {
			return o.Value.Protocol == p.Protocol && o.Value.Ports.First <= p.Ports.Last && p.Ports.First <= o.Value.Ports.Last
		})
		if i >= 0 {
			b.error(diag.CodeDuplicate, it.rng, fmt.Sprintf("port %s twice", p), "It overlaps %s in the same list.", out[i].Value)
			continue
		}
		out = append(out, At[ProxyPorts]{p, it.rng})
	}
	return out
}

func (p ProxyPorts) String() string {
	return p.Ports.String() + "/" + portProtocols[p.Protocol]
}

// portProtocols are the protocols that have ports.
var portProtocols = map[uint8]string{TCP: "tcp", UDP: "udp", SCTP: "sctp"}

func parseProxyPorts(it item) (_ ProxyPorts, code diag.Code, problem string) {
	p := ProxyPorts{Protocol: TCP}
	if !it.IsNull() && it.Type() == cty.String {
		ports, protocol, found := strings.Cut(it.AsString(), "/")
		if found {
			known := []string{"tcp", "udp", "sctp"}
			p.Protocol = protocolNumbers[protocol]
			if !slices.Contains(known, protocol) {
				return p, diag.CodeProtocol, fmt.Sprintf("Write %s after the /.%s", suggest.OneOf(known), suggest.DidYouMean(protocol, known))
			}
			it.Value = cty.StringVal(ports)
		}
	}
	p.Ports, problem = parsePorts(it)
	return p, diag.CodePort, problem
}

// families reads which address families are compiled; both by default.
func (b *block) families() (v4, v6 bool) {
	allowed := b.schema.Attribute("families").Values
	listed := b.texts("families")
	if !b.has("families") {
		return true, true
	}
	for _, f := range listed {
		switch f.Value {
		case "ipv4":
			v4 = true
		case "ipv6":
			v6 = true
		default:
			b.error(diag.CodeValue, f.Range, fmt.Sprintf("bad family %q", f.Value), "A family is %s.%s", suggest.OneOf(allowed), suggest.DidYouMean(f.Value, allowed))
		}
	}
	if it, _ := b.attr("families"); b.isEmptyList("families") {
		b.error(diag.CodeValue, it.rng, "no family", "List at least one of %s.", suggest.OneOf(allowed))
	}
	return v4, v6
}

// interfaces reads a list of interface names, in which none covers another.
func (b *block) interfaces(name string) []At[string] {
	var out []At[string]
	for _, i := range b.texts(name) {
		if problem := CheckInterface(i.Value); problem != "" {
			b.error(diag.CodeInterface, i.Range, fmt.Sprintf("bad interface %q", i.Value), "%s", problem)
			continue
		}
		if other := coveredBy(out, i.Value); other != nil {
			b.error(diag.CodeDuplicate, i.Range, fmt.Sprintf("interface %q twice", i.Value), "%q in the same list covers it. Remove one of them.", other.Value)
			continue
		}
		out = append(out, i)
	}
	return out
}

func coveredBy(list []At[string], name string) *At[string] {
	for i := range list {
		if Covers(list[i].Value, name) || Covers(name, list[i].Value) {
			return &list[i]
		}
	}
	return nil
}
