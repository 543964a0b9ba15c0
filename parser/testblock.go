package parser

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// Test is a test block: a packet, and what the policy is expected to do with it.
type Test struct {
	Name      At[string]
	DeclRange hcl.Range
	From      netip.Addr
	// Clients are those of a test about several, whose From is not valid; nil for a test about
	// one packet.
	Clients  *Clients
	Protocol Protocol
	// The attributes of the packet; zero if not written. Package question gives them their
	// meaning and the others their defaults.
	ToPort        uint16
	ToAddress     netip.Addr
	Container     netip.Addr
	ContainerPort uint16
	Interface     string
	OutInterface  string
	// Proxy is whether the packet ends at docker-proxy on the host, at ToPort.
	Proxy bool
	// ToHost is whether the packet is for the host itself, at ToPort if it has ports.
	ToHost bool
	State  TestState
	Expect Expectation
	// By is the block that is expected to match, such as "accept.https"; "" for any.
	By string
	// Ranges are the places of the written attributes, by name.
	Ranges map[string]hcl.Range
	// Unclear is whether an attribute of the packet has no valid value, which is reported.
	Unclear bool
}

// Clients are the source addresses of a test about several packets.
type Clients struct {
	// From is nil for anyone, and FromNot for no exception.
	From, FromNot *Addresses
	// AnyPath is set if the test is about packets to docker-proxy, too: proxy is not written.
	AnyPath bool
}

// TestState is the state of a test's connection.
type TestState string

// The values of a test's state. A reply is an established packet of a connection
// that the container opened.
const (
	StateNew         TestState = "new"
	StateEstablished TestState = "established"
	StateReply       TestState = "reply"
	StateRelated     TestState = "related"
	StateInvalid     TestState = "invalid"
	StateUntracked   TestState = "untracked"
)

// Expectation is a verdict in a test.
type Expectation string

// The values of expect. Docker means that no rule matches and Docker's own rules decide.
// Allowed is accept or docker, and refused is drop or reject.
const (
	ExpectAllowed Expectation = "allowed"
	ExpectRefused Expectation = "refused"
	ExpectAccept  Expectation = "accept"
	ExpectDrop    Expectation = "drop"
	ExpectReject  Expectation = "reject"
	ExpectDocker  Expectation = "docker"
)

// Allows reports whether the policy lets the packet reach its destination.
func (x Expectation) Allows() bool {
	return x == ExpectAllowed || x == ExpectAccept || x == ExpectDocker
}

// Matches reports whether a verdict, one of the exact values, is as expected.
func (x Expectation) Matches(verdict Expectation) bool {
	switch x {
	case ExpectAllowed, ExpectRefused:
		return x.Allows() == verdict.Allows()
	}
	return x == verdict
}

// tests decodes the test blocks that are for this host.
func (e *evaluator) tests(p *Policy) []*Test {
	deciders := deciders(p)
	var out []*Test
	for _, decl := range e.source.blocks[testSchema.Type] {
		b := e.open(decl, testSchema, e.ctx)
		t := &Test{Name: At[string]{decl.Labels[0], decl.LabelRanges[0]}, DeclRange: decl.DefRange, Ranges: map[string]hcl.Range{}}
		for name, a := range b.attributes {
			t.Ranges[name] = a.Expr.Range()
		}
		here := b.testIsForThisHost()
		valid := b.clean(func() { b.testPacket(t) })
		t.Unclear = !valid || !t.From.IsValid() && t.Clients == nil
		expectationValid := b.clean(func() { b.testExpectation(t) })
		// Other hosts of a fleet have other families and rules.
		if here {
			b.checkTestFamily(t, p.Host)
			expectationValid = b.clean(func() { b.checkDecider(t, deciders) }) && expectationValid
			out = append(out, t)
		}
		if expectationValid {
			b.checkExpectation(t)
		}
	}
	return out
}

// deciders are the blocks that a packet can match, as written in the attribute by.
func deciders(p *Policy) []string {
	out := []string{"established", "default"}
	for _, r := range p.AllRules() {
		out = append(out, string(r.Kind)+"."+r.Name.Value)
	}
	return out
}

// testIsForThisHost reports whether a test is for the host being evaluated. One for a host
// that does not exist is, so that its other errors are reported too.
func (b *block) testIsForThisHost() bool {
	host, ok := b.text("host")
	if !ok {
		return true
	}
	all := b.source.Hosts()
	if host.Value != "" && slices.Contains(all, host.Value) {
		return host.Value == b.host
	}
	detail := "This policy's host has no label: leave host out."
	if !slices.Equal(all, []string{""}) {
		detail = "No host has that label. " + suggest.FromList(host.Value, all, "The policy has", "host")
	}
	b.error(diag.CodeReference, host.Range, fmt.Sprintf("no host %q", host.Value), "%s", detail)
	return true
}

// testPacket reads the attributes that describe the packet.
func (b *block) testPacket(t *Test) {
	b.testClients(t)
	t.ToAddress, t.Container = b.address("to_address"), b.address("container")
	t.Protocol = Protocol{TCP, "tcp"}
	if it, ok := b.attr("protocol"); ok {
		if p, ok := b.protocol(it); ok {
			t.Protocol = p
		}
	}
	t.ToPort, t.ContainerPort = b.testPort("to_port"), b.testPort("container_port")
	t.Interface = b.testInterface("interface", "arrives on")
	t.OutInterface = b.testInterface("out_interface", "leaves on")
	t.State = TestState(b.choice("state").Value)
	t.Proxy, t.ToHost = b.flag("proxy"), b.flag("to_host")
}

// testClients reads the source address, or several of them.
func (b *block) testClients(t *Test) {
	from, ok := b.attr("from")
	switch {
	case !ok && b.has("from"): // reported
	case !ok && !b.has("from_not"):
		b.error(diag.CodeSchema, b.decl.DefRange, "no from", "Write the source address, such as from = \"192.0.2.10\"; a list of networks and sets for all of their clients; or from = \"anyone\".")
	case !ok, from.Type() == cty.String && !from.IsNull() && from.AsString() == anyone:
		t.Clients = &Clients{}
	case from.Type() == setRefType && !from.IsNull():
		b.error(diag.CodeType, from.rng, "from is an ipset", "A set is an element of a list: from = [ipset.%s].", from.EncapsulatedValue().(*setRef).name)
	case from.Type() == cty.String && !from.IsNull() && slices.Contains([]string{"all", "any", "everyone", "everybody", "*"}, strings.ToLower(from.AsString())):
		b.error(diag.CodeValue, from.rng, fmt.Sprintf("from is %q", from.AsString()), "For all clients, write from = %q.", anyone)
	case isList(from.Type()):
		t.Clients = &Clients{From: b.operands("from")}
		b.refuseNoClients("from")
	default:
		t.From = b.address("from")
	}
	if b.has("from_not") {
		not := b.operands("from_not")
		b.refuseNoClients("from_not")
		if t.Clients != nil {
			t.Clients.FromNot = not
		} else if t.From.IsValid() {
			b.error(diag.CodeConflict, b.rng("from_not"), "from_not with one address", "It excepts clients from several: from = \"anyone\", or a list. Remove one of the two.")
		}
	}
	if t.Clients != nil {
		t.Clients.AnyPath = !b.has("proxy") && !b.has("to_host")
	}
}

// refuseNoClients reports an empty list of clients, which could mean anyone or none.
func (b *block) refuseNoClients(name string) {
	if it, _ := b.attr(name); b.isEmptyList(name) {
		b.error(diag.CodeValue, it.rng, "empty "+name, "An empty list could mean anyone or none. List clients, or write from = %q without from_not for all of them.", anyone)
	}
}

// anyone is the value of from for all clients.
const anyone = "anyone"

// testExpectation reads what is expected of the packet.
func (b *block) testExpectation(t *Test) {
	t.Expect = Expectation(b.choiceOr("expect", string(ExpectRefused)).Value)
	if by, ok := b.text("by"); ok {
		t.By = by.Value
	}
}

// checkExpectation reports an expectation that no packet can meet.
func (b *block) checkExpectation(t *Test) {
	if local := t.local(); local != "" && t.Expect == ExpectAccept {
		b.error(diag.CodeConflict, b.rng("expect"), "expect = \"accept\" with "+local, "In INPUT the policy refuses a packet or leaves it to the host's own rules. Write expect = \"allowed\", or \"docker\", which is the same here.")
	} else if problem := t.neverBy(); problem != "" {
		b.error(diag.CodeConflict, b.rng("by"), fmt.Sprintf("by = %q with expect = %q", t.By, t.Expect), "%s", problem)
	}
}

// local is the attribute that makes it a packet to the host; "" if neither does.
func (t *Test) local() string {
	switch {
	case t.Proxy:
		return "proxy"
	case t.ToHost:
		return "to_host"
	}
	return ""
}

// checkTestFamily reports a packet of a family that the host does not compile.
func (b *block) checkTestFamily(t *Test, h *Host) {
	if t.Clients == nil && (t.From.Is4() && !h.IPv4 || t.From.Is6() && !h.IPv6) {
		b.error(diag.CodeConflict, b.rng("from"), "family that is not compiled", "The host's families do not include that of %s.", t.From)
	}
}

// checkDecider reports a rule that does not exist on this host.
func (b *block) checkDecider(t *Test, deciders []string) {
	if by, ok := b.text("by"); ok && !slices.Contains(deciders, t.By) {
		b.error(diag.CodeReference, by.Range, fmt.Sprintf("no rule %q", t.By), "by is the block that matches the packet on this host: established, deny.NAME, accept.NAME or default.%s", suggest.DidYouMean(t.By, deciders))
	}
}

// neverBy returns why the block of by never has the verdict of expect; "" if it may.
func (t *Test) neverBy() string {
	kind, _, _ := strings.Cut(t.By, ".")
	switch {
	case kind == string(KindDeny) && t.Expect.Allows():
		return "A deny only refuses packets. Write expect = \"refused\", or leave by out."
	case kind == string(KindAccept) && !t.Expect.Allows():
		return "An accept refuses no packet. Write expect = \"allowed\", or leave by out."
	case kind == "default" && t.Expect.Allows():
		return "default only refuses packets; those it allows match no block. Write expect = \"refused\", or leave by out."
	case kind == "established" && t.Expect == ExpectReject:
		return "established accepts packets, and with drop_invalid drops invalid ones. Write expect = \"allowed\" or \"drop\"."
	}
	return ""
}

// testInterface reads the name of one interface; "" if absent.
func (b *block) testInterface(name, verb string) string {
	it, ok := b.text(name)
	if !ok {
		return ""
	}
	problem := CheckInterface(it.Value)
	if problem == "" && strings.HasSuffix(it.Value, "+") {
		problem = fmt.Sprintf("Write a complete name, such as %q.", strings.TrimSuffix(it.Value, "+")+"0")
	}
	if problem != "" {
		b.error(diag.CodeInterface, it.Range, fmt.Sprintf("bad interface %q", it.Value), "A packet %s one interface. %s", verb, problem)
	}
	return it.Value
}

// address reads one single address.
func (b *block) address(name string) netip.Addr {
	it, ok := b.attr(name)
	if !ok {
		return netip.Addr{}
	}
	r, ok := b.literal(it, name)
	if !ok {
		return netip.Addr{}
	}
	if r.From() != r.To() {
		several := ""
		if name == "from" {
			several = fmt.Sprintf(" For all of these clients, write a list: from = [%q].", it.AsString())
		}
		b.error(diag.CodeValue, it.rng, name+" of more than one address", "A packet has one. Write a single address, such as %q.%s", r.From(), several)
		return netip.Addr{}
	}
	return r.From()
}

// testPort reads one port; 0 if absent.
func (b *block) testPort(name string) uint16 {
	it, ok := b.attr(name)
	if !ok {
		return 0
	}
	p, problem := parsePorts(it)
	switch {
	case problem != "":
		b.error(diag.CodePort, it.rng, "not a port", "%s", problem)
	case p.First != p.Last:
		b.error(diag.CodePort, it.rng, "more than one port", "A packet goes to one port.")
	}
	return p.First
}

// checkTestName returns what is wrong with a test's name, or "". It may be a sentence.
func checkTestName(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "A test needs a name, which identifies it in reports."
	case len(name) > maxRuleName:
		return fmt.Sprintf("The name has %d bytes; at most %d are allowed.", len(name), maxRuleName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "A test's name must be one line of text."
	}
	return ""
}
