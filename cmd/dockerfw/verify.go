package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/verify"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
)

func verifyCommand() *cobra.Command {
	var flags policyFlags
	var unit, timer bool
	type writer func(io.Writer, []facts.Fact) error
	cmd := &cobra.Command{
		Use:        "verify COMPILED [HOST]",
		Short:      "Check that a host has the rules that were compiled for it",
		SuggestFor: []string{"drift", "doctor", "assert"},
		Long: `verify checks that a host has what was compiled for it. COMPILED is a compiled folder or
a policy. It checks that the rules are present, complete and in order, that nothing lets
packets through before they reach the rules, that the jumps are in place, that the sets
have their entries, and that no foreign rules are in dockerfw's chains. With target
nftables it compares table inet dockerfw.

HOST is "live" (the default: the host that this runs on), ssh://[user@]host[:port] for
another host (it needs root there, and nothing is installed or changed), a folder with the
output of iptables-save, ip6tables-save, ipset save and nft list ruleset, or such files
separated by commas.

--print-unit and --print-timer print a systemd service that verifies /etc/dockerfw, and the
timer that starts it every five minutes.

The exit code is 1 if a check fails, and 2 if a check cannot be made.`,
		Example: `  dockerfw verify /etc/dockerfw
  dockerfw verify compiled --host web1 ssh://root@web1
  dockerfw verify compiled --host web1 saved/web1
  dockerfw verify --format json /etc/dockerfw live    # for monitoring
  dockerfw verify --print-unit > /etc/systemd/system/dockerfw-verify.service
  dockerfw verify --print-timer > /etc/systemd/system/dockerfw-verify.timer`,
		Args: func(cmd *cobra.Command, args []string) error {
			if unit || timer {
				return noArguments(cmd, args)
			}
			if len(args) < 1 || len(args) > 2 {
				return usageError(cmd, fmt.Sprintf("a compiled folder and at most one host expected, got %s", words.Count(len(args), "argument")))
			}
			return nil
		},
		ValidArgsFunction: completePolicies,
	}
	format := newFormatFlag(cmd, outputFormat[writer]{"text", verify.WriteText}, outputFormat[writer]{"json", verify.WriteJSON})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case (unit || timer) && cmd.Flags().NFlag() > 1:
			return usageError(cmd, "--print-unit and --print-timer cannot be combined with other options")
		case unit:
			return printUnit(cmd, apply.VerifyUnit)
		case timer:
			return printUnit(cmd, apply.VerifyTimer)
		}
		opts, err := flags.options()
		if err != nil {
			return err
		}
		want, err := openSide(cmd, args[0], opts)
		if err != nil {
			return err
		}
		host := snapshot.LiveName
		if len(args) == 2 {
			host = args[1]
		}
		have, err := openSideFor(cmd, want, host, opts)
		if err != nil {
			return err
		}
		checks, err := verify.Fleet(want, have)
		if err != nil {
			return err
		}
		if have.Kind == snapshot.Live && !snapshot.IsRemote(host) {
			checks = append(checks, apply.ReadBootUnit("/").Fact(want.Hosts[0]))
		}
		if err := format.write()(cmd.OutOrStdout(), checks); err != nil {
			return err
		}
		return exitUnless(verify.OK(checks))
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&unit, "print-unit", false, "print the systemd unit that verifies "+apply.BootFolder)
	cmd.Flags().BoolVar(&timer, "print-timer", false, "print the systemd timer that starts the unit regularly")
	return cmd
}
