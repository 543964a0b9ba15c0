package question

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// Problem is a mistake in a field of a question.
type Problem struct {
	// Field is the one to change, or to add if the question does not set it.
	Field string
	// Summary is a short noun phrase, Detail the reason and what to write.
	Summary, Detail string
}

// Problems are all mistakes of a question.
type Problems []Problem

func (p Problems) Error() string {
	var lines []string
	for _, one := range p {
		lines = append(lines, one.Summary+": "+one.Detail)
	}
	return strings.Join(lines, "\n")
}

func (b *builder) problem(field, summary, format string, args ...any) {
	b.problems = append(b.problems, Problem{Field: field, Summary: summary, Detail: fmt.Sprintf(format, args...)})
}

// Check returns the mistakes of a question that do not depend on the host.
func Check(q Question, w Words) Problems {
	b := &builder{q: q, words: w}
	if q.Protocol == 0 {
		b.q.Protocol = 6
	}
	b.checkFamilies()
	b.checkPorts()
	b.checkLocal()
	return b.problems
}

func (b *builder) checkFamilies() {
	q := b.q
	for _, other := range []struct {
		field   string
		address netip.Addr
	}{{ToAddress, q.ToAddress}, {Container, q.Container}} {
		if other.address.IsValid() && other.address.Is4() != q.From.Is4() {
			b.problem(other.field, "addresses of two families", "All addresses of a packet have one family: %s is %s and %s is %s.",
				b.words.Name(From), q.From, b.words.Name(other.field), other.address)
		}
	}
	own, other := "icmp", "icmpv6"
	if q.From.Is6() {
		own, other = other, own
	}
	switch {
	case q.Protocol == 1 && q.From.Is6(), q.Protocol == 58 && q.From.Is4():
		b.problem(Protocol, fmt.Sprintf("%s from %s", other, q.From), "The ICMP of that address family is %s. Write %s.", own, b.words.With(Protocol, own))
	case q.ICMP != nil && q.Protocol != 1 && q.Protocol != 58:
		b.problem(ICMPType, b.words.Name(ICMPType)+" does not apply", "It applies only to ICMP. Write %s.", b.words.With(Protocol, own))
	}
}

func (b *builder) checkPorts() {
	q := b.q
	name := packet.Proto{Numbers: []uint8{q.Protocol}}.Name()
	if !(&packet.Packet{Protocol: q.Protocol}).HasPorts() {
		for _, f := range []struct {
			field string
			port  uint16
		}{{FromPort, q.FromPort}, {ToPort, q.ToPort}, {ContainerPort, q.ContainerPort}} {
			if f.port != 0 {
				b.problem(f.field, b.words.Name(f.field)+" does not apply", "Protocol %s has no ports. Remove %s.", name, b.words.Name(f.field))
			}
		}
		return
	}
	if q.ToPort == 0 && (q.ContainerPort == 0 || q.Local()) {
		detail := fmt.Sprintf("Protocol %s needs a port. Write %s for a published port, or %s for the port of a container.", name, b.words.Name(ToPort), b.words.Name(ContainerPort))
		switch {
		case q.Proxy:
			detail = fmt.Sprintf("A packet to docker-proxy goes to a published port. Write it with %s.", b.words.Name(ToPort))
		case q.ToHost:
			detail = fmt.Sprintf("Protocol %s needs a port. Write the port of the host with %s.", name, b.words.Name(ToPort))
		}
		b.problem(ToPort, "no port", "%s", detail)
	}
}

// checkLocal reports what contradicts a packet to the host.
func (b *builder) checkLocal() {
	q := b.q
	field, what := Proxy, "A packet to docker-proxy ends on the host and does not go to a container."
	switch {
	case !q.Local():
		return
	case q.Proxy && q.ToHost:
		b.problem(Proxy, fmt.Sprintf("%s with %s", b.words.Name(Proxy), b.words.Name(ToHost)),
			"Both are packets that end on the host, where only the port tells them apart. Remove %s.", b.words.Name(Proxy))
		return
	case q.ToHost:
		field, what = ToHost, "A packet to the host itself does not go to a container."
	}
	if q.Proxy && !(&packet.Packet{Protocol: q.Protocol}).HasPorts() {
		b.problem(Proxy, b.words.Name(Proxy)+" does not apply", "docker-proxy serves published ports, and this packet has no port. Remove %s.", b.words.Name(Proxy))
	}
	for _, f := range []struct {
		field string
		given bool
	}{{Container, q.Container.IsValid()}, {ContainerPort, q.ContainerPort != 0}, {OutInterface, q.Out != ""}} {
		if f.given {
			b.problem(f.field, fmt.Sprintf("%s with %s", b.words.Name(f.field), b.words.Name(field)),
				"%s Remove one of the two.", what)
		}
	}
}
