package parser

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
)

// Test is a test block: a packet, and what the policy is expected to do with it.
type Test struct {
	Name      At[string]
	DeclRange hcl.Range
	From      netip.Addr
	Protocol  Protocol
	// ToPort is the published port, 0 for a packet that goes straight to a container.
	ToPort uint16
	// ToAddress is the host address connected to, or without ToPort the container's;
	// invalid when not written.
	ToAddress netip.Addr
	// ContainerPort is the port after DNAT, 0 for the same as ToPort.
	ContainerPort uint16
	Interface     string
	// Proxy tells that the packet ends at docker-proxy on the host, at ToPort.
	Proxy  bool
	State  TestState
	Expect Expectation
	// By is the block that has to decide, such as "accept.https"; "" for any.
	By string
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
)

// Expectation is a verdict as tests name it.
type Expectation string

// The values of expect. Docker means that Docker's own rules decide.
const (
	ExpectAccept Expectation = "accept"
	ExpectDrop   Expectation = "drop"
	ExpectReject Expectation = "reject"
	ExpectDocker Expectation = "docker"
)

var testSchema = &hcl.BodySchema{Attributes: append(
	attributes("protocol", "to_port", "to_address", "container_port", "interface", "state", "proxy", "host", "by"),
	hcl.AttributeSchema{Name: "from", Required: true},
	hcl.AttributeSchema{Name: "expect", Required: true},
)}

// test decodes a test block; nil when it is for another host.
func (e *evaluator) test(decl *hcl.Block, h *Host, rules []string) *Test {
	b := e.open(decl, testSchema, e.ctx)
	t := &Test{Name: At[string]{decl.Labels[0], decl.LabelRanges[0]}, DeclRange: decl.DefRange}
	here := true
	if host, ok := b.text("host", "web1"); ok {
		here = host.Value == e.host
		if !slices.Contains(e.source.Hosts(), host.Value) || host.Value == "" {
			here = true
			detail := "This policy's host has no label: leave host out."
			if all := e.source.Hosts(); !slices.Equal(all, []string{""}) {
				detail = "No host has that label. " + NearestOf(host.Value, all, "The policy has", "host")
			}
			b.error(codeReference, host.Range, fmt.Sprintf("no host %q", host.Value), "%s", detail)
		}
	}
	t.From = b.address("from")
	t.ToAddress = b.address("to_address")
	if t.From.IsValid() && t.ToAddress.IsValid() && t.From.Is4() != t.ToAddress.Is4() {
		b.error(codeConflict, b.rng("to_address"), "addresses of two families", "A packet has addresses of one family: from is %s.", t.From)
	}
	// What depends on the host is checked where the test runs: other hosts of a
	// fleet have other families and rules.
	if here && t.From.IsValid() && (t.From.Is4() && !h.IPv4 || t.From.Is6() && !h.IPv6) {
		b.error(codeConflict, b.rng("from"), "family that is not compiled", "The host's families leave out that of %s.", t.From)
	}
	t.Protocol = Protocol{TCP, "tcp"}
	if it, ok := b.attr("protocol"); ok {
		if p, ok := b.protocol(it); ok {
			t.Protocol = p
		}
	}
	t.ToPort, t.ContainerPort = b.testPort("to_port"), b.testPort("container_port")
	hasPorts := t.Protocol.HasPorts()
	switch {
	case hasPorts && !b.has("to_port") && !b.has("container_port"):
		b.error(codeSchema, b.header, "test without a port", "A packet of %s goes to a port. Write to_port for a published one, or container_port for one straight at a container.", t.Protocol.Name)
	case !hasPorts:
		b.refuse(fmt.Sprintf("a packet of %s, which has no ports", t.Protocol.Name), "to_port", "container_port")
	}
	if name, ok := b.text("interface", "eth0"); ok {
		if problem := CheckInterface(name.Value); problem != "" || strings.HasSuffix(name.Value, "+") {
			b.error(codeInterface, name.Range, fmt.Sprintf("bad interface %q", name.Value), "A packet arrives by one interface. %s", problem)
		}
		t.Interface = name.Value
	} else if len(h.ExternalInterfaces) > 0 {
		t.Interface = strings.Replace(h.ExternalInterfaces[0].Value, "+", "0", 1)
	}
	t.State = TestState(b.choice("state", string(StateNew), string(StateNew), string(StateEstablished), string(StateReply), string(StateRelated), string(StateInvalid)).Value)
	t.Expect = Expectation(b.choice("expect", string(ExpectDrop), string(ExpectAccept), string(ExpectDrop), string(ExpectReject), string(ExpectDocker)).Value)
	t.Proxy = b.flag("proxy", false)
	switch {
	case !t.Proxy:
	case b.has("container_port"):
		b.error(codeConflict, b.rng("container_port"), "container_port with proxy", "A packet that ends at docker-proxy goes to the published port, to_port, and to no container.")
	case t.Expect == ExpectAccept:
		b.error(codeConflict, b.rng("expect"), "expect = \"accept\" with proxy", "The guard of docker-proxy refuses, or leaves a packet to the host's own rules: expect \"docker\" for that.")
	}
	if by, ok := b.text("by", "accept.https"); ok {
		if here && !slices.Contains(rules, by.Value) {
			b.error(codeReference, by.Range, fmt.Sprintf("no rule %q", by.Value), "by names a block that can decide here: established, deny.NAME, accept.NAME or default.%s", didYouMean(by.Value, rules))
		}
		t.By = by.Value
	}
	if !here {
		return nil
	}
	return t
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
		b.error(codeValue, it.rng, name+" of more than one address", "A packet has one. Write a single address, such as %q.", r.From())
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
		b.error(codePort, it.rng, "not a port", "%s", problem)
	case p.First != p.Last:
		b.error(codePort, it.rng, "more than one port", "A packet goes to one port.")
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
