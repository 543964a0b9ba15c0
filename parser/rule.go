package parser

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

var (
	ruleAttributes = attributes(
		"source", "source_not", "destination", "destination_not", "protocol",
		"container_ports", "source_ports", "icmp_types", "interfaces", "out_interfaces",
		"hosts", "expires", "description", "for_each",
	)
	ruleBlocks = []hcl.BlockHeaderSchema{{Type: "rate"}, {Type: "connections"}, {Type: "log"}}
	published  = attributes("published_ports", "published_address")
	action     = attributes("action")

	// One schema for all rules: what does not go with a kind or a place is refused
	// with the reason.
	ruleSchema = &hcl.BodySchema{Attributes: slices.Concat(ruleAttributes, published, action), Blocks: ruleBlocks}
)

// rules decodes a deny or accept block: one rule, or one an element of for_each,
// as far as they are for this host.
func (e *evaluator) rules(decl *hcl.Block, egress bool) []*Rule {
	kind := RuleKind(decl.Type)
	b := e.open(decl, ruleSchema, e.ctx)
	b.refuseNull = "null could mean any or none. Leave %s out for any, or take the rule out for none."
	if kind == KindAccept {
		b.refuse("an accept, which has no action: what it matches is let through", "action")
	}
	if egress {
		b.refuse("a rule of egress, and what leaves a container goes to no published port: container_ports and destination name where it goes", "published_ports", "published_address")
	}
	name := At[string]{decl.Labels[0], decl.LabelRanges[0]}
	if !b.has("for_each") {
		if !b.forThisHost() {
			return nil
		}
		return []*Rule{b.rule(decl, kind, name)}
	}
	var out []*Rule
	for _, each := range b.forEach() {
		one := *b
		one.ctx = e.ctx.NewChild()
		one.ctx.Variables = map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{
			"key": cty.StringVal(each.key), "value": each.value,
		})}
		one.each = each.written
		full := At[string]{name.Value + "-" + each.key, each.rng}
		if problem := checkRuleName(full.Value); problem != "" {
			e.error(diag.CodeName, each.rng, fmt.Sprintf("bad name %q", full.Value), "The key becomes part of the rule's name. %s Use a map with short keys.", problem)
			continue
		}
		if one.forThisHost() {
			out = append(out, one.rule(decl, kind, full))
		}
	}
	return out
}

// rule decodes one deny or accept rule.
func (b *block) rule(decl *hcl.Block, kind RuleKind, name At[string]) *Rule {
	r := &Rule{Kind: kind, Name: name, DeclRange: decl.DefRange}
	r.Source, r.SourceNot = b.operands("source"), b.operands("source_not")
	r.Destination, r.DestinationNot = b.operands("destination"), b.operands("destination_not")
	for _, list := range []struct {
		name string
		list *Addresses
	}{{"source", r.Source}, {"source_not", r.SourceNot}, {"destination", r.Destination}, {"destination_not", r.DestinationNot}} {
		b.refuseEmpty(list.name, list.list != nil && len(list.list.Items) == 0)
	}
	r.Protocols = b.protocols()
	r.PublishedPorts = b.ports("published_ports")
	r.ContainerPorts = b.ports("container_ports")
	r.SourcePorts = b.ports("source_ports")
	b.checkPortProtocols(r)
	r.PublishedAddress = b.publishedAddress()
	b.checkPublishedProtocols(r)
	r.ICMPTypes = b.icmpTypes(r.Protocols)
	r.Interfaces = b.interfaces("interfaces")
	r.OutInterfaces = b.interfaces("out_interfaces")
	for _, name := range []string{"protocol", "published_ports", "container_ports", "source_ports", "published_address", "icmp_types", "interfaces", "out_interfaces"} {
		b.refuseEmpty(name, b.isEmptyList(name))
	}
	if kind == KindDeny {
		r.Action = Action(b.choice("action", string(ActionDrop), string(ActionDrop), string(ActionReject)).Value)
	}
	r.Rate, r.Connections = b.rate(), b.connections()
	r.Log = b.log(name.Value)
	r.Expires = b.expires(r)
	if d, ok := b.text("description", "the public web site"); ok {
		r.Description = d.Value
	}
	return r
}

// refuseEmpty reports a list that was written with nothing in it. Taking it for
// "any" would open what an empty variable was meant to close, and taking it for
// "none" would silently lose the rule.
func (b *block) refuseEmpty(name string, empty bool) {
	if !empty || b.evaluatedWithErrors(name) {
		return
	}
	b.error(diag.CodeValue, b.valueRange(name), "empty "+name, "An empty list could mean any or none. Leave %s out for any, or take the rule out for none.", name)
}

// isEmptyList reports whether an attribute was written as a list without elements.
func (b *block) isEmptyList(name string) bool {
	a, ok := b.content.Attributes[name]
	if !ok {
		return false
	}
	v, diags := a.Expr.Value(b.ctx)
	return !diags.HasErrors() && v.IsWhollyKnown() && !v.IsNull() && v.CanIterateElements() && v.LengthInt() == 0
}

func (b *block) evaluatedWithErrors(name string) bool { return !b.isEmptyList(name) }

var protocolNumbers = map[string]uint8{
	"tcp": TCP, "udp": UDP, "sctp": SCTP, "icmp": ICMP, "icmpv6": ICMPv6,
}

// protocols reads protocol, one or a list of names and numbers.
func (b *block) protocols() []At[Protocol] {
	it, ok := b.attr("protocol")
	if !ok {
		return nil
	}
	items := []item{it}
	if it.Type().IsTupleType() || it.Type().IsListType() || it.Type().IsSetType() {
		items = b.elements(b.content.Attributes["protocol"].Expr, it.Value)
	}
	var out []At[Protocol]
	for _, it := range items {
		p, ok := b.protocol(it)
		if !ok {
			continue
		}
		if i := slices.IndexFunc(out, func(o At[Protocol]) bool { return o.Value.Number == p.Number }); i >= 0 {
			b.error(diag.CodeDuplicate, it.rng, fmt.Sprintf("protocol %s twice", p.Name), "Take one of them out.")
			continue
		}
		out = append(out, At[Protocol]{p, it.rng})
	}
	return out
}

func (b *block) protocol(it item) (Protocol, bool) {
	known := []string{"tcp", "udp", "sctp", "icmp", "icmpv6"}
	fail := func(detail string) (Protocol, bool) {
		b.error(diag.CodeProtocol, it.rng, "not a protocol", "A protocol is %s, or a number from 1 to 255.%s%s", suggest.OneOf(known), detail, b.valueOf(it, detail))
		return Protocol{}, false
	}
	if it.IsNull() || !it.Type().IsPrimitiveType() || it.Type() == cty.Bool {
		return fail(fmt.Sprintf(" This is %s.", describe(it.Value)))
	}
	text := primitiveText(it.Value)
	if n, ok := protocolNumbers[text]; ok {
		return Protocol{Number: n, Name: text}, true
	}
	n, err := strconv.ParseUint(text, 10, 8)
	switch {
	case err != nil && text != "" && text[0] >= '0' && text[0] <= '9', err == nil && (n == 0 || text != fmt.Sprint(n)):
		return fail("")
	case err != nil:
		detail := suggest.DidYouMean(text, known)
		if strings.EqualFold(text, "all") || strings.EqualFold(text, "any") {
			detail = " Leave protocol out for any."
		} else if s, ok := services[strings.ToLower(text)]; ok {
			detail = fmt.Sprintf(" %s is a service: write protocol = %q and published_ports = [%d].", text, s.protocol, s.port)
		} else if text == "ipv6-icmp" {
			detail = ` Did you mean "icmpv6"?`
		}
		return fail(detail)
	}
	p := Protocol{Number: uint8(n), Name: text}
	for name, number := range protocolNumbers {
		if number == p.Number {
			p.Name = name
		}
	}
	return p, true
}

// primitiveText is a string or number as text.
func primitiveText(v cty.Value) string {
	if v.Type() == cty.Number {
		f := v.AsBigFloat()
		// big.Float.Text takes longer than all else that is done with a port.
		if n, accuracy := f.Int64(); accuracy == big.Exact {
			return strconv.FormatInt(n, 10)
		}
		return numberText(f)
	}
	return v.AsString()
}

// numberText is a number as text. To write out 1e99999999 takes minutes.
func numberText(f *big.Float) string {
	if f.MantExp(nil) > 256 {
		return "of more than 77 digits"
	}
	return f.Text('f', -1)
}

// ports reads a list of ports, in which none overlaps another.
func (b *block) ports(name string) []At[Ports] {
	items, _ := b.list(name, `[80, "8000-8010"]`)
	var out []At[Ports]
	for _, it := range items {
		p, problem := parsePorts(it)
		if problem != "" {
			b.error(diag.CodePort, it.rng, "not a port", "%s", problem)
			continue
		}
		if i := slices.IndexFunc(out, func(o At[Ports]) bool { return o.Value.First <= p.Last && p.First <= o.Value.Last }); i >= 0 {
			b.error(diag.CodeDuplicate, it.rng, fmt.Sprintf("port %s twice", p), "%s in the same list covers it already, in whole or in part.", out[i].Value)
			continue
		}
		out = append(out, At[Ports]{p, it.rng})
	}
	return out
}

func (p Ports) String() string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

func parsePorts(it item) (Ports, string) {
	const want = `A port is a number from 1 to 65535, a range is a string such as "8000-8010".`
	if it.IsNull() || !it.Type().IsPrimitiveType() || it.Type() == cty.Bool {
		return Ports{}, fmt.Sprintf("%s This is %s.", want, describe(it.Value))
	}
	text := primitiveText(it.Value)
	if strings.Contains(text, ":") {
		return Ports{}, want + colonInPort(text)
	}
	if strings.Contains(text, "/") {
		return Ports{}, want + " The protocol has an attribute of its own: protocol."
	}
	if s, ok := services[strings.ToLower(text)]; ok {
		return Ports{}, fmt.Sprintf("%s Write %d for %s.", want, s.port, text)
	}
	if list := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }); len(list) > 1 && allPorts(list) {
		return Ports{}, fmt.Sprintf("%s Write each as an element of its own: %s.", want, strings.Join(list, ", "))
	}
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, ok1 := parsePort(from)
	last, ok2 := parsePort(to)
	switch {
	case !ok1 || !ok2:
		return Ports{}, fmt.Sprintf("%s %q is not.", want, text)
	case first > last:
		return Ports{}, fmt.Sprintf("The range runs backwards. Write \"%d-%d\".", last, first)
	}
	return Ports{First: first, Last: last}, ""
}

// services are names that people write for ports, or for protocols.
var services = map[string]struct {
	protocol string
	port     int
}{
	"ftp": {"tcp", 21}, "ssh": {"tcp", 22}, "telnet": {"tcp", 23}, "smtp": {"tcp", 25}, "dns": {"udp", 53},
	"domain": {"udp", 53}, "http": {"tcp", 80}, "https": {"tcp", 443}, "pop3": {"tcp", 110}, "ntp": {"udp", 123},
	"imap": {"tcp", 143}, "imaps": {"tcp", 993}, "mysql": {"tcp", 3306}, "rdp": {"tcp", 3389},
	"postgres": {"tcp", 5432}, "postgresql": {"tcp", 5432}, "redis": {"tcp", 6379},
}

// allPorts tells whether each of a list is a port or a range of ports.
func allPorts(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool {
		from, to, isRange := strings.Cut(s, "-")
		_, ok1 := parsePort(from)
		_, ok2 := parsePort(to)
		return !ok1 || isRange && !ok2
	})
}

// colonInPort says what was meant by a colon: a range as iptables writes it, or a
// mapping as Docker writes it. It offers no range for what may be a mapping: the
// range would open all ports between.
func colonInPort(text string) string {
	parts := strings.Split(text, ":")
	container, ok := parsePort(parts[len(parts)-1])
	host, alsoOK := parsePort(parts[len(parts)-2])
	if !ok || !alsoOK {
		return fmt.Sprintf(" %q is not.", text)
	}
	if len(parts) > 2 {
		return fmt.Sprintf(" Of Docker's ADDRESS:HOST:CONTAINER, published_address takes the address, published_ports %d and container_ports %d.", host, container)
	}
	return fmt.Sprintf(" Of Docker's HOST:CONTAINER, published_ports takes %d and container_ports %d.", host, container)
}

func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && n > 0 && text == fmt.Sprint(n)
}

// checkPortProtocols makes sure that ports come with protocols that have ports.
func (b *block) checkPortProtocols(r *Rule) {
	for _, name := range []string{"published_ports", "container_ports", "source_ports"} {
		if !b.has(name) {
			continue
		}
		if !b.has("protocol") {
			b.error(diag.CodePort, b.rng(name), fmt.Sprintf("%s without protocol", name), "A port belongs to a protocol. Add protocol = \"tcp\", or protocol = [\"tcp\", \"udp\"].")
			return
		}
		for _, p := range r.Protocols {
			if !p.Value.HasPorts() {
				b.error(diag.CodePort, p.Range, fmt.Sprintf("ports with protocol %s", p.Value.Name), "Only tcp, udp and sctp have ports. Write a rule of its own for %s, without %s.", p.Value.Name, name)
			}
		}
		return
	}
}

// checkPublishedProtocols refuses what docker publishes nothing of.
func (b *block) checkPublishedProtocols(r *Rule) {
	if len(r.PublishedAddress) == 0 {
		return
	}
	const why = "Docker publishes tcp, udp and sctp; anything else sent to the address ends at the host itself. Write a rule of its own, without published_address."
	if b.has("icmp_types") && !b.has("protocol") {
		b.error(diag.CodeConflict, b.rng("icmp_types"), "icmp_types with published_address", why)
	}
	for _, p := range r.Protocols {
		if !p.Value.HasPorts() {
			b.error(diag.CodeConflict, p.Range, fmt.Sprintf("published_address with protocol %s", p.Value.Name), why)
		}
	}
}

// publishedAddress reads host addresses, one address an element.
func (b *block) publishedAddress() []At[netipx.IPRange] {
	var out []At[netipx.IPRange]
	for _, a := range b.addresses("published_address") {
		if a.Value.From() != a.Value.To() {
			b.error(diag.CodeValue, a.Range, "published_address of more than one address", "It is the host address that clients connect to. Name each address, one an element.")
			continue
		}
		if slices.ContainsFunc(out, func(o At[netipx.IPRange]) bool { return o.Value == a.Value }) {
			b.error(diag.CodeDuplicate, a.Range, fmt.Sprintf("address %s twice", a.Value.From()), "Take one of them out.")
			continue
		}
		out = append(out, a)
	}
	return out
}
