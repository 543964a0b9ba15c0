package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/verify"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func verifyCommand() *cobra.Command {
	var flags policyFlags
	format := "text"
	cmd := &cobra.Command{
		Use:   "verify COMPILED [HOST]",
		Short: "Check that a host does what was compiled for it",
		Long: `verify compares a compiled folder, or a policy, with what a host has: rules present,
complete and in order; nothing ahead of them that lets through what they refuse; jumps
in place; sets filled; nothing of others in chains that are ours.
HOST is "live", the host this runs on, unless what a host saved is named: a folder with
the output of iptables-save, ip6tables-save and ipset save, or such files with commas between.

The exit code is 1 if anything does not hold, and 2 if that could not be found out.`,
		Example: `  dockerfw verify /etc/dockerfw
  dockerfw verify compiled --host web1 saved/web1`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError(cmd, fmt.Sprintf("name what was compiled, and a host unless it is this one: %d given", len(args)))
			}
			return nil
		},
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "text" && format != "json" {
				return usageError(cmd, fmt.Sprintf("unknown format %q: text or json", format))
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			want, err := openSide(cmd, args[0], opts)
			if err != nil {
				return err
			}
			if !want.Kind.Compiled() {
				return fmt.Errorf("%s is no compiled folder and no policy", args[0])
			}
			if len(want.States) > 1 {
				return fmt.Errorf("%s has %d hosts: choose one with --host", args[0], len(want.States))
			}
			name := snapshot.LiveName
			if len(args) == 2 {
				name = args[1]
			}
			have, err := openSide(cmd, name, opts)
			if err != nil {
				return err
			}
			if have.Kind.Compiled() {
				return fmt.Errorf("%s is no host: name what iptables-save and ipset save printed there (for two compiled sides: dockerfw diff)", name)
			}
			checks, err := verify.Host(want.States[0], have.States[0])
			if err != nil {
				return err
			}
			if err := writeChecks(cmd, checks, format); err != nil {
				return err
			}
			if slices.ContainsFunc(checks, func(c verify.Check) bool { return !c.OK }) {
				return exitError(exitNo)
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&format, "format", format, "how to report: text or json")
	return cmd
}

func writeChecks(cmd *cobra.Command, checks []verify.Check, format string) error {
	w := cmd.OutOrStdout()
	if format == "json" {
		type record struct {
			Check string `json:"check"`
			OK    bool   `json:"ok"`
			// Nothing says that there was nothing to check.
			Nothing bool   `json:"nothing_to_check,omitempty"`
			Text    string `json:"text"`
		}
		records := []record{}
		for _, c := range checks {
			records = append(records, record{c.Name, c.OK, c.Nothing, c.Text})
		}
		return escape.JSON(w, records)
	}
	for _, c := range checks {
		word := "ok  "
		switch {
		case !c.OK:
			word = "FAIL"
		case c.Nothing:
			word = "--  "
		}
		if err := escape.Fprintf(w, "%s  %-13s %s\n", word, c.Name, c.Text); err != nil {
			return err
		}
	}
	return nil
}
