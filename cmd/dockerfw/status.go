package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/status"
)

func statusCommand() *cobra.Command {
	type writer func(io.Writer, *status.Report, status.Style) error
	var full bool
	cmd := &cobra.Command{
		Use:        "status",
		Short:      "Show what dockerfw has in force on this host",
		SuggestFor: []string{"show", "list", "ls", "ps", "info", "inspect", "state", "counters", "metrics"},
		Long: `status shows what is in force on the host that it runs on: the folder and the policy, since
when, and whether the host still has exactly those rules and sets; a change that waits for
confirmation; what is loaded at boot; and how many packets each rule has dropped. It needs
root, and changes nothing.

The exit code is 0 if all is in order, 1 if the rules are missing or differ or a
confirmation is overdue, and 2 if the host cannot be read.`,
		Example: `  dockerfw status
  dockerfw status --full
  dockerfw status --format json`,
		Args: noArguments,
	}
	format := newFormatFlag(cmd, outputFormat[writer]{"text", status.WriteText}, outputFormat[writer]{"json", status.WriteJSON})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		report, err := status.Read(now)
		if err != nil {
			return err
		}
		style := status.Style{Color: colored(cmd.OutOrStdout()), Full: full, Now: now}
		if err := format.write()(cmd.OutOrStdout(), report, style); err != nil {
			return err
		}
		return exitUnless(report.OK)
	}
	cmd.Flags().BoolVar(&full, "full", false, "list all differences, rules and sets")
	return cmd
}
