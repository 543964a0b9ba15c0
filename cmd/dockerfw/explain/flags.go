package explain

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/question"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Flags are a question as the flags of the command write it. Zero fields are not given.
type Flags struct {
	From, ToAddress, Container      string
	FromPort, ToPort, ContainerPort uint16
	// Protocol is a name or a number, ICMPType a name, a number or type/code.
	Protocol, ICMPType string
	In, Out            string
	State              string
	Proxy, ToHost      bool
}

// Question parses the flags, and checks that they fit together.
func (f Flags) Question() (Question, question.Problems) {
	r := reader{}
	q := Question{
		From: r.address(question.From, f.From), FromPort: f.FromPort,
		ToAddress: r.address(question.ToAddress, f.ToAddress), ToPort: f.ToPort,
		Container: r.address(question.Container, f.Container), ContainerPort: f.ContainerPort,
		Protocol: r.protocol(f.Protocol),
		In:       r.interfaceName(question.InterfaceField, f.In), Out: r.interfaceName(question.OutInterface, f.Out),
		Proxy: f.Proxy, ToHost: f.ToHost,
	}
	if f.State != "" && !q.SetState(f.State) {
		var names []string
		for _, s := range question.States {
			names = append(names, s.Name)
		}
		r.problem(question.State, f.State, "Write %s.", words.Or(names))
	}
	q.ICMP = r.icmpType(f.ICMPType, q.From.Is6())
	if len(r.problems) > 0 {
		return Question{}, r.problems
	}
	return q, question.Check(q, question.Flags)
}

// reader parses the values of flags and collects what is wrong with them.
type reader struct{ problems question.Problems }

func (r *reader) problem(field, value, format string, args ...any) {
	r.problems = append(r.problems, question.Problem{
		Field: field, Summary: question.Flags.Name(field) + " " + value, Detail: fmt.Sprintf(format, args...),
	})
}

func (r *reader) address(field, text string) netip.Addr {
	if text == "" {
		if field == question.From {
			r.problems = append(r.problems, question.Problem{Field: field, Summary: "no --from", Detail: "Write the source address of the packet."})
		}
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		r.problem(field, text, "Write an IPv4 or IPv6 address.")
		return netip.Addr{}
	}
	return a
}

// interfaceName accepts the name of one interface, as in the kernel, and no pattern.
func (r *reader) interfaceName(field, name string) string {
	if name == "" {
		return ""
	}
	if problem := parser.CheckInterface(name); problem != "" {
		r.problem(field, name, "%s", problem)
	} else if strings.HasSuffix(name, "+") {
		r.problem(field, name, "A packet passes one interface. Write its name, not a pattern.")
	}
	return name
}

func (r *reader) protocol(text string) uint8 {
	if text == "" {
		return 0
	}
	n, ok := iptables.ProtocolNumber(text)
	if !ok || n == 0 {
		r.problem(question.Protocol, text, "Write tcp, udp, sctp, icmp, icmpv6 or a number from 1 to 255.")
	}
	return n
}

func (r *reader) icmpType(text string, v6 bool) *question.ICMP {
	if text == "" {
		return nil
	}
	icmp, ok := parseICMPType(text, v6)
	if !ok {
		r.problem(question.ICMPType, text, "Write a name such as echo-request, a number from 0 to 254, or type and code such as 3/4.")
		return nil
	}
	return &icmp
}

// icmpName matches names of ICMP types. ParseRules takes other words for other options.
var icmpName = regexp.MustCompile(`^[A-Za-z]+(-[A-Za-z]+)+$|^redirect$`)

// parseICMPType parses an ICMP type as iptables does. Names go through the parser of rules,
// which owns them: the canonical text of a rule has their numbers.
func parseICMPType(text string, v6 bool) (question.ICMP, bool) {
	if icmpName.MatchString(text) {
		protocol, option, family := "icmp", "--icmp-type", iptables.IPv4
		if v6 {
			protocol, option, family = "ipv6-icmp", "--icmpv6-type", iptables.IPv6
		}
		file, diags := iptables.ParseRules(strings.NewReader(fmt.Sprintf("*filter\n-A FORWARD -p %s %s %s\nCOMMIT\n", protocol, option, text)), "")
		if diags.HasErrors() {
			return question.ICMP{}, false
		}
		fields := strings.Fields(file.Blocks[0].Commands[0].Rule.Canonical(family))
		text = fields[len(fields)-1]
	}
	number, rest, hasCode := strings.Cut(text, "/")
	typ, err := strconv.ParseUint(number, 10, 8)
	if err != nil || typ == 255 {
		return question.ICMP{}, false
	}
	if !hasCode {
		return question.ICMP{Type: uint8(typ)}, true
	}
	code, err := strconv.ParseUint(rest, 10, 8)
	return question.ICMP{Type: uint8(typ), Code: uint8(code)}, err == nil
}
