package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func applyCommand() *cobra.Command {
	var (
		opts    apply.Options
		backend string
		boot    bool
		unit    bool
	)
	cmd := &cobra.Command{
		Use:   "apply FOLDER",
		Short: "Load a compiled folder on this host",
		Long: `apply loads a compiled folder on the host that it runs on. It needs root.

First it makes all checks and loads the folder into a temporary network namespace. Then it
changes the rules in one step for each family, so that no packet passes a mixture of old
and new rules, and checks the result. If anything fails, it restores the previous rules
and sets.

The exit code is 0 if the rules are in force, 1 if they are not and the rules are the same
as before, and 3 if restoring them failed. With --boot it is 0 if the folder, or the one
that was loaded last, is loaded, and 1 if all containers are closed instead.`,
		Example: `  dockerfw apply --dry-run /etc/dockerfw.d/web-2
  dockerfw apply --confirm 60 /etc/dockerfw.d/web-2`,
		Args: func(cmd *cobra.Command, args []string) error {
			if unit {
				return noArguments(cmd, args)
			}
			if len(args) != 1 {
				return usageError(cmd, fmt.Sprintf("one compiled folder expected, got %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Backend = snapshot.Backend(backend)
			switch {
			case backend != "" && backend != string(snapshot.NFT) && backend != string(snapshot.Legacy):
				return usageError(cmd, fmt.Sprintf("--backend %s: write nft or legacy", backend))
			case cmd.Flags().Changed("confirm") && (opts.Confirm < 1 || opts.Confirm > 99999):
				return usageError(cmd, "--confirm takes a number of seconds, 1 to 99999")
			case opts.DryRun && (opts.Confirm > 0 || opts.Cut):
				return usageError(cmd, "--dry-run cannot be combined with --confirm or --cut")
			case boot && (opts.DryRun || opts.Confirm > 0 || opts.Cut || opts.Force || backend != ""):
				return usageError(cmd, "--boot cannot be combined with other options")
			}
			if unit {
				return printUnit(cmd)
			}
			if boot {
				a, err := apply.NewForBoot()
				if err != nil {
					return failed(cmd, err)
				}
				a.Warn = warnings(cmd)
				result, err := a.Boot(args[0])
				if err != nil {
					return failed(cmd, err)
				}
				return escape.Fprintf(cmd.OutOrStdout(), "loaded %s\n", result.Folder)
			}
			a, err := newApplier(cmd)
			if err != nil {
				return failed(cmd, err)
			}
			result, err := a.Load(args[0], opts)
			if err != nil {
				return failed(cmd, err)
			}
			return printResult(cmd, result, opts)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&opts.DryRun, "dry-run", false, "make all checks and print what would change; change nothing")
	f.IntVar(&opts.Confirm, "confirm", 0, "roll back after this many `seconds` unless \"dockerfw confirm\" is run")
	f.BoolVar(&opts.Cut, "cut", false, "end open connections that the new rules refuse")
	f.BoolVar(&opts.Force, "force", false, "delete foreign rules in chains that are replaced, and replace foreign sets with names of the policy")
	f.StringVar(&backend, "backend", "", "`nft` or legacy: the iptables to use before Docker has run")
	f.BoolVar(&boot, "boot", false, "for the systemd unit: load the folder, or else the one that was loaded last, or else close all containers")
	f.BoolVar(&unit, "print-unit", false, "print the systemd unit that loads "+apply.BootFolder+" before Docker starts")
	return cmd
}

// printUnit prints the systemd unit with the path of this program.
func printUnit(cmd *cobra.Command) error {
	program, err := apply.Program()
	if err != nil {
		return err
	}
	text, err := apply.Unit(program)
	if err != nil {
		return err
	}
	if warning := apply.UnitWarning(program); warning != "" {
		escape.Fprintf(cmd.ErrOrStderr(), "dockerfw: warning: %s\n", warning)
	}
	_, err = io.WriteString(cmd.OutOrStdout(), text)
	return err
}

// newApplier returns an Applier whose messages go to standard error.
func newApplier(cmd *cobra.Command) (*apply.Applier, error) {
	a, err := apply.New()
	if err != nil {
		return nil, err
	}
	a.Warn = warnings(cmd)
	return a, nil
}

// warnings prints warnings on standard error.
func warnings(cmd *cobra.Command) func(string) {
	return func(text string) { escape.Fprintf(cmd.ErrOrStderr(), "dockerfw: %s\n", text) }
}

// failed prints why an operation failed, and returns its exit code.
func failed(cmd *cobra.Command, err error) error {
	printError(cmd.ErrOrStderr(), err)
	var failure *apply.Failure
	if errors.As(err, &failure) && failure.State == apply.Unknown {
		return exitError(3)
	}
	return exitError(exitNo)
}

func printResult(cmd *cobra.Command, r *apply.Result, o apply.Options) error {
	w := cmd.OutOrStdout()
	if r.Note != "" {
		escape.Fprintf(w, "%s\n", r.Note)
	}
	lines := r.Plan.Differences.Lines()
	switch {
	case len(lines) == 0:
		escape.Fprintf(w, "nothing to do: the folder is already loaded\n")
	case o.DryRun:
		escape.Fprintf(w, "would change:\n")
		for _, line := range lines {
			escape.Fprintf(w, "  %s\n", line)
		}
	default:
		escape.Fprintf(w, "loaded %d rules and %d sets\n", r.Rules, r.Sets)
	}
	if o.Cut {
		escape.Fprintf(w, "ended %d connections that the rules refuse\n", len(r.Ended))
	}
	if !r.Deadline.IsZero() {
		escape.Fprintf(w, "rolling back in %d seconds unless you confirm: dockerfw confirm\n", o.Confirm)
	}
	return nil
}
