package parser

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// Test is a test block: a packet, and what the policy is expected to do with it.
type Test struct {
	Name      At[string]
	DeclRange hcl.Range
	From      netip.Addr
	Protocol  Protocol
	// What of the packet was written; zero is not written. Package question says what
	// it means and what is assumed for the rest.
	ToPort        uint16
	ToAddress     netip.Addr
	Container     netip.Addr
	ContainerPort uint16
	Interface     string
	OutInterface  string
	// Proxy tells that the packet ends at docker-proxy on the host, at ToPort.
	Proxy  bool
	State  TestState
	Expect Expectation
	// By is the block that has to decide, such as "accept.https"; "" for any.
	By string
	// Ranges are the places of the attributes that were written, by name.
	Ranges map[string]hcl.Range
	// Unclear tells that an attribute of the packet has no valid value, which is
	// reported already.
	Unclear bool
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

// Expectation is a verdict as tests name it.
type Expectation string

// The values of expect. Docker means that Docker's own rules decide. Allowed is
// accept or docker, and refused is drop or reject.
const (
	ExpectAllowed Expectation = "allowed"
	ExpectRefused Expectation = "refused"
	ExpectAccept  Expectation = "accept"
	ExpectDrop    Expectation = "drop"
	ExpectReject  Expectation = "reject"
	ExpectDocker  Expectation = "docker"
)

// Allows tells whether the packet reaches its destination as far as the policy goes.
func (x Expectation) Allows() bool {
	return x == ExpectAllowed || x == ExpectAccept || x == ExpectDocker
}

// MetBy tells whether a verdict, one of the exact values, is what is expected.
func (x Expectation) MetBy(verdict Expectation) bool {
	switch x {
	case ExpectAllowed, ExpectRefused:
		return x.Allows() == verdict.Allows()
	}
	return x == verdict
}

var testSchema = &hcl.BodySchema{Attributes: append(
	attributes("protocol", "to_port", "to_address", "container", "container_port", "interface", "out_interface", "state", "proxy", "host", "by"),
	hcl.AttributeSchema{Name: "from", Required: true},
	hcl.AttributeSchema{Name: "expect", Required: true},
)}

// test decodes a test block; nil when it is for another host.
func (e *evaluator) test(decl *hcl.Block, h *Host, rules []string) *Test {
	b := e.open(decl, testSchema, e.ctx)
	t := &Test{Name: At[string]{decl.Labels[0], decl.LabelRanges[0]}, DeclRange: decl.DefRange, Ranges: map[string]hcl.Range{}}
	here := true
	if host, ok := b.text("host", "web1"); ok {
		here = host.Value == e.host
		if !slices.Contains(e.source.Hosts(), host.Value) || host.Value == "" {
			here = true
			detail := "This policy's host has no label: leave host out."
			if all := e.source.Hosts(); !slices.Equal(all, []string{""}) {
				detail = "No host has that label. " + suggest.FromList(host.Value, all, "The policy has", "host")
			}
			b.error(diag.CodeReference, host.Range, fmt.Sprintf("no host %q", host.Value), "%s", detail)
		}
	}
	for name, a := range b.content.Attributes {
		t.Ranges[name] = a.Expr.Range()
	}
	wrong := len(e.diags)
	t.From = b.address("from")
	t.ToAddress, t.Container = b.address("to_address"), b.address("container")
	t.Protocol = Protocol{TCP, "tcp"}
	if it, ok := b.attr("protocol"); ok {
		if p, ok := b.protocol(it); ok {
			t.Protocol = p
		}
	}
	t.ToPort, t.ContainerPort = b.testPort("to_port"), b.testPort("container_port")
	t.Interface = b.testInterface("interface", "arrives on")
	t.OutInterface = b.testInterface("out_interface", "leaves by")
	t.State = TestState(b.choice("state", string(StateNew), string(StateNew), string(StateEstablished), string(StateReply), string(StateRelated), string(StateInvalid), string(StateUntracked)).Value)
	t.Proxy = b.flag("proxy", false)
	t.Unclear = !t.From.IsValid() || len(e.diags) > wrong
	// What depends on the host is checked where the test runs: other hosts of a
	// fleet have other families and rules.
	if here && t.From.IsValid() && (t.From.Is4() && !h.IPv4 || t.From.Is6() && !h.IPv6) {
		b.error(diag.CodeConflict, b.rng("from"), "family that is not compiled", "The host's families leave out that of %s.", t.From)
	}
	before := len(e.diags)
	t.Expect = Expectation(b.choice("expect", string(ExpectRefused), string(ExpectAllowed), string(ExpectRefused), string(ExpectAccept), string(ExpectDrop), string(ExpectReject), string(ExpectDocker)).Value)
	if t.Proxy && t.Expect == ExpectAccept {
		b.error(diag.CodeConflict, b.rng("expect"), "expect = \"accept\" with proxy", "The guard of docker-proxy refuses a packet, or leaves it to the host's own rules. Write expect = \"allowed\", or \"docker\", which is the same here.")
	}
	if by, ok := b.text("by", "accept.https"); ok {
		if here && !slices.Contains(rules, by.Value) {
			b.error(diag.CodeReference, by.Range, fmt.Sprintf("no rule %q", by.Value), "by names a block that can decide here: established, deny.NAME, accept.NAME or default.%s", suggest.DidYouMean(by.Value, rules))
		}
		t.By = by.Value
		// A wrong expect or by is reported already, and says nothing about the other.
		if problem := t.neverBy(); problem != "" && len(e.diags) == before {
			b.error(diag.CodeConflict, by.Range, fmt.Sprintf("by = %q with expect = %q", t.By, t.Expect), "%s", problem)
		}
	}
	if !here {
		return nil
	}
	return t
}

// neverBy says why the block of by never gives the verdict of expect; "" if it may.
func (t *Test) neverBy() string {
	kind, _, _ := strings.Cut(t.By, ".")
	switch {
	case kind == string(KindDeny) && t.Expect.Allows():
		return "A deny only refuses packets. Write expect = \"refused\", or leave by out."
	case kind == string(KindAccept) && !t.Expect.Allows():
		return "An accept refuses no packet. Write expect = \"allowed\", or leave by out."
	case kind == "default" && t.Expect.Allows():
		return "default only refuses packets; for what it allows, no block decides. Write expect = \"refused\", or leave by out."
	case kind == "established" && t.Expect == ExpectReject:
		return "established lets packets pass, and with drop_invalid drops invalid ones. Write expect = \"allowed\" or \"drop\"."
	}
	return ""
}

// testInterface reads the name of one interface; "" when it is absent.
func (b *block) testInterface(name, verb string) string {
	it, ok := b.text(name, "eth0")
	if !ok {
		return ""
	}
	problem := CheckInterface(it.Value)
	if problem == "" && strings.HasSuffix(it.Value, "+") {
		problem = fmt.Sprintf("Write the whole name of one, such as %q.", strings.TrimSuffix(it.Value, "+")+"0")
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
		b.error(diag.CodeValue, it.rng, name+" of more than one address", "A packet has one. Write a single address, such as %q.", r.From())
		return netip.Addr{}
	}
	return r.From()
}

// testPort reads one port; 0 when it is absent.
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

// tests decodes the test blocks that are for this host.
func (e *evaluator) tests(p *Policy) []*Test {
	rules := []string{"established", "default"}
	all := p.Rules
	if p.Egress != nil {
		all = slices.Concat(all, p.Egress.Rules)
	}
	for _, r := range all {
		rules = append(rules, string(r.Kind)+"."+r.Name.Value)
	}
	var out []*Test
	for _, b := range e.source.blocks["test"] {
		if t := e.test(b, p.Host, rules); t != nil {
			out = append(out, t)
		}
	}
	return out
}

// checkTestName says what is wrong with a test's name, or "". It may be a sentence.
func checkTestName(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "A test needs a name: it says in the report what held or did not."
	case len(name) > maxRuleName:
		return fmt.Sprintf("The name has %d bytes; %d is the most.", len(name), maxRuleName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "A test's name is one line of text."
	}
	return ""
}
