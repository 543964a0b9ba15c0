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

// rules adds the rules of a deny or accept block to p.Disabled or to the list that it returns:
// one, or one for each element of for_each, if they are for this host. The place is "", or the
// block around the rule.
func (e *evaluator) rules(p *Policy, decl *hcl.Block, place string) []*Rule {
	key, share := sharedKey{decl, place, e.target, e.now}, e.mayShare(decl)
	if share {
		if r := e.sharedRule(key); r != nil {
			return p.enabled(r.rule, r.enabled)
		}
	}
	problems, steps := len(e.diags), e.work.Steps()
	b := e.open(decl, policySchema.Block(decl.Type), e.ctx).in(decl.Type).in(place)
	name := At[string]{decl.Labels[0], decl.LabelRanges[0]}
	if !b.has("for_each") {
		if !b.forThisHost() {
			return nil
		}
		rule, enabled := b.rule(name)
		if share && len(e.diags) == problems {
			rule = e.share(key, &sharedRule{rule, enabled, e.work.Steps() - steps})
		}
		return p.enabled(rule, enabled)
	}
	var out []*Rule
	for _, el := range b.forEach() {
		full := At[string]{name.Value + "-" + el.key, el.rng}
		if problem := checkRuleName(full.Value); problem != "" {
			e.error(diag.CodeName, el.rng, fmt.Sprintf("bad name %q", full.Value), "The key becomes part of the rule's name. %s Use a map with short keys.", problem)
			continue
		}
		if one := b.withEach(el); one.forThisHost() {
			out = append(out, p.enabled(one.rule(full))...)
		}
	}
	return out
}

// enabled returns a rule, or adds it to p.Disabled and returns none.
func (p *Policy) enabled(r *Rule, enabled bool) []*Rule {
	if !enabled {
		p.Disabled = append(p.Disabled, r)
		return nil
	}
	return []*Rule{r}
}

// rule decodes one deny or accept rule, and whether it is enabled.
func (b *block) rule(name At[string]) (r *Rule, enabled bool) {
	enabled = b.flag("enabled")
	r = &Rule{Kind: RuleKind(b.decl.Type), Name: name, DeclRange: b.decl.DefRange}
	r.Source, r.SourceNot = b.operands("source"), b.operands("source_not")
	r.Destination, r.DestinationNot = b.operands("destination"), b.operands("destination_not")
	r.Protocols = b.protocols()
	r.PublishedPorts = b.ports("published_ports")
	r.ContainerPorts = b.ports("container_ports")
	r.HostPorts = b.ports("ports")
	r.SourcePorts = b.ports("source_ports")
	b.checkPortProtocols(r)
	r.PublishedAddress = b.publishedAddress()
	b.checkPublishedProtocols(r)
	r.ICMPTypes = b.icmpTypes(r.Protocols)
	r.Interfaces = b.interfaces("interfaces")
	r.OutInterfaces = b.interfaces("out_interfaces")
	b.refuseEmptyLists()
	if r.Kind == KindDeny {
		r.Action = Action(b.choice("action").Value)
	}
	r.Rate, r.Connections, r.Log = b.rate(), b.connections(), b.log(name.Value)
	// docs/contributing/netfilter.md, "Two limits in one rule".
	if r.Kind == KindDeny && r.Rate != nil && r.Connections != nil {
		b.error(diag.CodeConflict, r.Connections.DeclRange, "rate and connections in a deny", "Connections within the rate would not be counted, and the deny would refuse less than each limit alone. Write two deny blocks, one with each limit.")
	}
	r.Expires = b.expires(r, enabled)
	if d, ok := b.text("description"); ok {
		r.Description = d.Value
	}
	return r, enabled
}

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
	if isList(it.Type()) {
		items = b.elements(b.expr("protocol"), it.Value)
	}
	var out []At[Protocol]
	for _, it := range items {
		p, ok := b.protocol(it)
		if !ok {
			continue
		}
		if i := slices.IndexFunc(out, func(o At[Protocol]) bool { return o.Value.Number == p.Number }); i >= 0 {
			b.error(diag.CodeDuplicate, it.rng, fmt.Sprintf("protocol %s twice", p.Name), "Remove one of them.")
			continue
		}
		out = append(out, At[Protocol]{p, it.rng})
	}
	return out
}

// ProtocolNames returns the names of protocols that a policy may contain.
func ProtocolNames() []string { return []string{"tcp", "udp", "sctp", "icmp", "icmpv6"} }

func (b *block) protocol(it item) (Protocol, bool) {
	known := ProtocolNames()
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

// numberText is a number as text. Writing all digits of 1e99999999 takes minutes.
func numberText(f *big.Float) string {
	if f.MantExp(nil) > 256 {
		return "of more than 77 digits"
	}
	return f.Text('f', -1)
}

// ports reads a list of ports, in which none overlaps another.
func (b *block) ports(name string) []At[Ports] {
	items, _ := b.list(name)
	var out []At[Ports]
	for _, it := range items {
		p, problem := parsePorts(it)
		if problem != "" {
			b.error(diag.CodePort, it.rng, "not a port", "%s", problem)
			continue
		}
		if i := slices.IndexFunc(out, func(o At[Ports]) bool { return o.Value.First <= p.Last && p.First <= o.Value.Last }); i >= 0 {
			b.error(diag.CodeDuplicate, it.rng, fmt.Sprintf("port %s twice", p), "It overlaps %s in the same list.", out[i].Value)
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
		return Ports{}, want + " Write the protocol in the attribute protocol."
	}
	if s, ok := services[strings.ToLower(text)]; ok {
		return Ports{}, fmt.Sprintf("%s Write %d for %s.", want, s.port, text)
	}
	if list := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }); len(list) > 1 && allPorts(list) {
		return Ports{}, fmt.Sprintf("%s Write each as a separate element: %s.", want, strings.Join(list, ", "))
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
		return Ports{}, fmt.Sprintf("The end of the range is below its start. Write \"%d-%d\".", last, first)
	}
	return Ports{First: first, Last: last}, ""
}

// services are names that people write instead of ports or protocols.
var services = map[string]struct {
	protocol string
	port     int
}{
	"ftp": {"tcp", 21}, "ssh": {"tcp", 22}, "telnet": {"tcp", 23}, "smtp": {"tcp", 25}, "dns": {"udp", 53},
	"domain": {"udp", 53}, "http": {"tcp", 80}, "https": {"tcp", 443}, "pop3": {"tcp", 110}, "ntp": {"udp", 123},
	"imap": {"tcp", 143}, "imaps": {"tcp", 993}, "mysql": {"tcp", 3306}, "rdp": {"tcp", 3389},
	"postgres": {"tcp", 5432}, "postgresql": {"tcp", 5432}, "redis": {"tcp", 6379},
}

// allPorts reports whether all elements of a list are ports or ranges of ports.
func allPorts(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool {
		from, to, isRange := strings.Cut(s, "-")
		_, ok1 := parsePort(from)
		_, ok2 := parsePort(to)
		return !ok1 || isRange && !ok2
	})
}

// colonInPort returns what to write for a port with a colon: in Docker it is a mapping, in
// iptables a range. It suggests no range, because that would open all ports between if it
// is a mapping.
func colonInPort(text string) string {
	parts := strings.Split(text, ":")
	container, ok := parsePort(parts[len(parts)-1])
	host, alsoOK := parsePort(parts[len(parts)-2])
	if !ok || !alsoOK {
		return fmt.Sprintf(" %q is not.", text)
	}
	if len(parts) > 2 {
		return fmt.Sprintf(" For Docker's ADDRESS:HOST:CONTAINER write the address in published_address, %d in published_ports and %d in container_ports.", host, container)
	}
	return fmt.Sprintf(" For Docker's HOST:CONTAINER write %d in published_ports and %d in container_ports.", host, container)
}

func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && n > 0 && text == fmt.Sprint(n)
}

// checkPortProtocols reports ports without a protocol, or with one that has no ports.
func (b *block) checkPortProtocols(r *Rule) {
	for _, name := range []string{"ports", "published_ports", "container_ports", "source_ports"} {
		if !b.has(name) {
			continue
		}
		if !b.has("protocol") {
			b.error(diag.CodePort, b.rng(name), fmt.Sprintf("%s without protocol", name), "A port belongs to a protocol. Add protocol = \"tcp\", or protocol = [\"tcp\", \"udp\"].")
			return
		}
		for _, p := range r.Protocols {
			if !p.Value.HasPorts() {
				b.error(diag.CodePort, p.Range, fmt.Sprintf("ports with protocol %s", p.Value.Name), "Only tcp, udp and sctp have ports. Write a separate rule for %s, without %s.", p.Value.Name, name)
			}
		}
		return
	}
}

// checkPublishedProtocols reports protocols that Docker cannot publish.
func (b *block) checkPublishedProtocols(r *Rule) {
	if len(r.PublishedAddress) == 0 {
		return
	}
	const why = "Docker publishes only tcp, udp and sctp; other packets to the address are for the host itself. Write a separate rule without published_address."
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
			b.error(diag.CodeValue, a.Range, "published_address of more than one address", "It is the host address that clients connect to. List each address as an element.")
			continue
		}
		if slices.ContainsFunc(out, func(o At[netipx.IPRange]) bool { return o.Value == a.Value }) {
			b.error(diag.CodeDuplicate, a.Range, fmt.Sprintf("address %s twice", a.Value.From()), "Remove one of them.")
			continue
		}
		out = append(out, a)
	}
	return out
}
