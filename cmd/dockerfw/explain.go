package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/explain"
)

func explainCommand() *cobra.Command {
	var (
		flags  policyFlags
		packet explain.Flags
		chain  string
	)
	format := "text"
	cmd := &cobra.Command{
		Use:        "explain WHAT --from ADDRESS [--to-port PORT]",
		Short:      "Show the verdict of one packet, and the reason",
		SuggestFor: []string{"trace", "why", "simulate", "query"},
		Long: `explain sends one packet through the rules and reports its verdict, the rule that gave
it and where that rule was written, and for each rule before it why that one did not match.
WHAT is ` + sides + `.

For a host the packet passes all tables, in the kernel's order: raw, mangle and nat, where
DNAT finds the container of a published port; then mangle, filter and security. explain
follows the marks that rules set. A packet that may be forwarded or may end at docker-proxy
gets an answer for each.

The exit code is 0 whatever the verdict, and 2 on errors.`,
		Example: `  dockerfw explain policy.hcl --from 192.0.2.9 --to-port 443
  dockerfw explain live --from 2001:db8::9 --to-port 53 --protocol udp --interface eth0
  dockerfw explain compiled --from 192.0.2.9 --container-port 80    # directly to a container
  dockerfw explain policy.hcl --from 192.0.2.9 --to-port 22 --to-host    # to a service of the host
  dockerfw explain policy.hcl --from 2001:db8::9 --to-port 443 --proxy    # to docker-proxy
  dockerfw explain policy.hcl --from 192.0.2.9 --protocol icmp --icmp-type 3/4 --format json
  dockerfw explain live --from 192.0.2.9 --to-port 443 --state established --chain DOCKER-USER
  dockerfw explain policy.hcl --from 172.17.0.2 --interface docker0 --to-address 203.0.113.80 --to-port 443    # from a container`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(cmd, fmt.Sprintf("give one policy, folder or host, not %d", len(args)))
			}
			return nil
		},
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(explain.Formats, format) {
				return usageError(cmd, fmt.Sprintf("unknown format %q: write text or json", format))
			}
			q, problems := packet.Question()
			if len(problems) > 0 {
				return usageError(cmd, problems.Error())
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			host, err := openHost(cmd, args[0], opts)
			if err != nil {
				return err
			}
			answers, err := explain.Explain(host, q, chain)
			if errors.As(err, &problems) {
				return usageError(cmd, problems.Error())
			}
			if err != nil {
				return err
			}
			return explain.Write(cmd.OutOrStdout(), format, answers)
		},
	}
	flags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&packet.From, "from", "", "the source `address` (required)")
	f.Var(portFlag{&packet.ToPort}, "to-port", "the published `port`; for a packet to the outside, its destination port")
	f.StringVar(&packet.ToAddress, "to-address", "", "the host's `address` that the packet is sent to; for a packet to the outside, its destination")
	f.StringVar(&packet.Container, "container", "", "the container's `address`, after DNAT")
	f.Var(portFlag{&packet.ContainerPort}, "container-port", "the container's `port`, after DNAT")
	f.StringVar(&packet.Protocol, "protocol", "tcp", "the `protocol`: tcp, udp, sctp, icmp, icmpv6, or a number")
	f.StringVar(&packet.ICMPType, "icmp-type", "", "the ICMP `type`: a name, a number, or type and code such as 3/4 (default echo-request)")
	f.Var(portFlag{&packet.FromPort}, "from-port", "the source `port` (default 40000)")
	f.StringVar(&packet.In, "interface", "", "the `name` of the interface it arrives on (default the first external one)")
	f.StringVar(&packet.Out, "out-interface", "", "the `name` of the interface it leaves on (default docker0, or the first external one for a packet from a container)")
	f.StringVar(&packet.State, "state", "new", "the connection `state`: new, established, related, reply, invalid or untracked")
	f.BoolVar(&packet.Proxy, "proxy", false, "send it to docker-proxy on the host, through INPUT")
	f.BoolVar(&packet.ToHost, "to-host", false, "send it to the host itself, at --to-port, through INPUT")
	f.StringVar(&chain, "chain", "", "start at this `chain` of the filter table (default all chains of a host, or the chain that dockerfw fills)")
	f.StringVar(&format, "format", format, "the output `format`: text or json")
	return cmd
}
