package main

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/explain"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/question"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

func explainCommand() *cobra.Command {
	var (
		flags                     policyFlags
		q                         explain.Question
		from, toAddress, to       string
		protocol, state, icmpType string
		chain                     string
	)
	format := "text"
	cmd := &cobra.Command{
		Use:   "explain WHAT --from ADDRESS [--to-port PORT]",
		Short: "Say what becomes of one packet, and why",
		Long: `explain sends one packet through the rules and says what becomes of it, which rule
decided and where that stands, and for each rule it passed why that did not match.
WHAT is ` + sides + `.
Of a host all tables are asked that the packet meets, in order: raw, mangle and nat, which
says which container a published port leads to, then mangle, filter and security. Marks are
followed from where rules set them. A packet that may be forwarded or end at docker-proxy
gets an answer for each.

The exit code is 0 whatever the verdict, and 2 if there is no answer.`,
		Example: `  dockerfw explain policy.hcl --from 192.0.2.9 --to-port 443
  dockerfw explain live --from 2001:db8::9 --to-port 53 --protocol udp --interface eth0
  dockerfw explain compiled --from 192.0.2.9 --container-port 80    # straight to a container
  dockerfw explain policy.hcl --from 172.17.0.2 --interface docker0 --to-address 203.0.113.80 --to-port 443    # from a container`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(cmd, fmt.Sprintf("name one policy, folder or host, not %d", len(args)))
			}
			return nil
		},
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			var problem string
			fail := func(format string, args ...any) {
				if problem == "" {
					problem = fmt.Sprintf(format, args...)
				}
			}
			q.From = parseAddress("--from", from, true, fail)
			q.ToAddress = parseAddress("--to-address", toAddress, false, fail)
			q.Container = parseAddress("--container", to, false, fail)
			parseProtocol(&q, protocol, icmpType, fail)
			parseState(&q, state, fail)
			checkInterface("--interface", q.In, fail)
			checkInterface("--out-interface", q.Out, fail)
			if format != "text" && format != "json" {
				fail("unknown format %q: text or json", format)
			}
			if problem == "" {
				if problems := question.Check(q, question.Flags); len(problems) > 0 {
					problem = problems.Error()
				}
			}
			if problem != "" {
				return usageError(cmd, problem)
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			side, err := openSide(cmd, args[0], opts)
			if err != nil {
				return err
			}
			if len(side.Hosts) > 1 {
				return fmt.Errorf("%s has %d hosts: choose one with --host", args[0], len(side.Hosts))
			}
			answers, err := explain.Explain(side.Hosts[0], q, chain)
			var problems question.Problems
			if errors.As(err, &problems) {
				return usageError(cmd, err.Error())
			}
			if err != nil {
				return err
			}
			if format == "json" {
				return explain.WriteJSON(cmd.OutOrStdout(), answers)
			}
			return explain.WriteText(cmd.OutOrStdout(), answers)
		},
	}
	flags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "the source `address` (required)")
	f.Var(portFlag{&q.ToPort}, "to-port", "the published `port` the packet is sent to; of what leaves a container, the destination port")
	f.StringVar(&toAddress, "to-address", "", "the `address` of the host that it is sent to; of what leaves a container, the destination")
	f.StringVar(&to, "container", "", "the container's `address`, after DNAT")
	f.Var(portFlag{&q.ContainerPort}, "container-port", "the container's `port`, after DNAT")
	f.StringVar(&protocol, "protocol", "tcp", "the `protocol`: tcp, udp, sctp, icmp, icmpv6 or a number")
	f.StringVar(&icmpType, "icmp-type", "", "the ICMP `type`: a name, a number, or type and code such as 3/4 (default echo-request)")
	f.Var(portFlag{&q.FromPort}, "from-port", "the source `port` (default 40000)")
	f.StringVar(&q.In, "interface", "", "the interface it arrives on (default the first external one)")
	f.StringVar(&q.Out, "out-interface", "", "the interface it leaves by (default docker0, or the first external one for what arrives on a container's)")
	f.StringVar(&state, "state", "new", "new, established, related, reply, invalid or untracked")
	f.BoolVar(&q.Proxy, "proxy", false, "the packet ends at docker-proxy on the host, so that INPUT decides")
	f.StringVar(&chain, "chain", "", "ask the filter table from this `chain` on (default all that the packet meets on a host, or the chain that dockerfw fills)")
	f.StringVar(&format, "format", format, "how to report: text or json")
	return cmd
}

func parseAddress(flag, text string, required bool, fail func(string, ...any)) netip.Addr {
	if text == "" {
		if required {
			fail("no %s: name the address the packet comes from", flag)
		}
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		fail("%s %s: write an IPv4 or IPv6 address", flag, text)
	}
	return a
}

// checkInterface asks for the name of one interface, where one is named.
func checkInterface(flag, name string, fail func(string, ...any)) {
	if name == "" {
		return
	}
	if problem := parser.CheckInterface(name); problem != "" {
		fail("%s %s: %s", flag, name, problem)
	} else if strings.HasSuffix(name, "+") {
		fail("%s %s: a packet passes one interface, not a pattern of them", flag, name)
	}
}

func parseProtocol(q *explain.Question, protocol, icmpType string, fail func(string, ...any)) {
	n, ok := iptables.ProtocolNumber(protocol)
	if protocol == "icmpv6" {
		n, ok = 58, true
	}
	if !ok || n == 0 {
		fail("--protocol %s: tcp, udp, sctp, icmp, icmpv6 or a number from 1 to 255", protocol)
	}
	q.Protocol = n
	if icmpType == "" {
		return
	}
	typ, code, ok := parseICMPType(icmpType, q.From.Is6())
	if !ok {
		fail("--icmp-type %s: a name such as echo-request, a number from 0 to 254, or type and code such as 3/4", icmpType)
	}
	q.ICMP = &question.ICMP{Type: typ, Code: code}
}

var icmpName = regexp.MustCompile(`^[A-Za-z]+(-[A-Za-z]+)+$|^redirect$`)

// parseICMPType reads what iptables takes for an ICMP type. The table of names is the
// one that saved rules are read with: a rule of the name tells the numbers.
func parseICMPType(text string, v6 bool) (typ, code uint8, ok bool) {
	if icmpName.MatchString(text) {
		protocol, option, family := "icmp", "--icmp-type", iptables.IPv4
		if v6 {
			protocol, option, family = "ipv6-icmp", "--icmpv6-type", iptables.IPv6
		}
		file, diags := iptables.ParseRules(strings.NewReader(fmt.Sprintf("*filter\n-A FORWARD -p %s %s %s\nCOMMIT\n", protocol, option, text)), "")
		if diags.HasErrors() {
			return 0, 0, false
		}
		words := strings.Fields(file.Blocks[0].Commands[0].Rule.Canonical(family))
		text = words[len(words)-1]
	}
	number, rest, hasCode := strings.Cut(text, "/")
	t, err := strconv.ParseUint(number, 10, 8)
	if err != nil || t == 255 {
		return 0, 0, false
	}
	c := uint64(0)
	if hasCode {
		if c, err = strconv.ParseUint(rest, 10, 8); err != nil {
			return 0, 0, false
		}
	}
	return uint8(t), uint8(c), true
}

func parseState(q *explain.Question, state string, fail func(string, ...any)) {
	switch strings.ToLower(state) {
	case "reply":
		q.Reply = true
	case "new":
		q.State = ir.CTNew
	case "established":
		q.State = ir.CTEstablished
	case "related":
		q.State = ir.CTRelated
	case "invalid":
		q.State = ir.CTInvalid
	case "untracked":
		q.State = ir.CTUntracked
	default:
		fail("--state %s: new, established, related, reply, invalid or untracked", state)
	}
}
