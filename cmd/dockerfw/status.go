package main

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/status"
	"github.com/dockerfw/dockerfw/emit/folder"
)

func statusCommand() *cobra.Command {
	type writer func(io.Writer, *status.Report, status.Style) error
	var (
		full, unit bool
		output     string
	)
	cmd := &cobra.Command{
		Use:        "status",
		Short:      "Show what dockerfw has in force on this host",
		SuggestFor: []string{"show", "list", "ls", "ps", "info", "inspect", "state", "counters", "metrics"},
		Long: `status shows what is in force on the host that it runs on: the folder and the policy, since
when, and whether the host still has exactly those rules and sets; a change that waits for
confirmation; what is loaded at boot; and how many packets each rule has dropped. It needs
root, and changes nothing. With --format prometheus it prints metrics for the textfile
collector of node_exporter; --output writes them in one step, so that no half of a file is
ever read.

The exit code is 0 if all is in order, 1 if the rules are missing or differ or a
confirmation is overdue, and 2 if the host cannot be read.`,
		Example: `  dockerfw status
  dockerfw status --full
  dockerfw status --format json
  dockerfw status --format prometheus --output /var/lib/prometheus/node-exporter/dockerfw.prom
  dockerfw status --print-unit > /etc/systemd/system/dockerfw-metrics.service`,
		Args: noArguments,
	}
	format := newFormatFlag(cmd, outputFormat[writer]{"text", status.WriteText}, outputFormat[writer]{"json", status.WriteJSON}, outputFormat[writer]{"prometheus", status.WritePrometheus})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if unit {
			if cmd.Flags().NFlag() > 1 {
				return usageError(cmd, "--print-unit cannot be combined with other options")
			}
			return printUnit(cmd, apply.MetricsUnit)
		}
		now := time.Now()
		report, err := status.Read(now)
		if err != nil {
			return err
		}
		style := status.Style{Color: output == "" && colored(cmd.OutOrStdout()), Full: full, Now: now, Program: driver.Version}
		var text bytes.Buffer
		if err := format.write()(&text, report, style); err != nil {
			return err
		}
		if err := deliver(cmd, output, text.Bytes()); err != nil {
			return err
		}
		return exitUnless(report.OK)
	}
	cmd.Flags().BoolVar(&full, "full", false, "list all differences, rules and sets")
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this `file`, in one step, instead of standard output")
	cmd.Flags().BoolVar(&unit, "print-unit", false, "print the systemd unit that writes metrics; dockerfw-verify.service starts it")
	return cmd
}

// deliver writes text to a file, in one step, or to standard output if there is none.
func deliver(cmd *cobra.Command, file string, text []byte) error {
	if file == "" {
		_, err := cmd.OutOrStdout().Write(text)
		return err
	}
	return cleanly(func(context.Context) error { return folder.PutFile(file, text) })
}
