package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/outcome"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func applyCommand() *cobra.Command {
	var (
		opts    apply.Options
		backend string
		boot    bool
		unit    bool
		full    bool
	)
	cmd := &cobra.Command{
		Use:        "apply FOLDER",
		Short:      "Load a compiled folder on this host",
		SuggestFor: []string{"up", "load", "install", "deploy", "restore", "reload", "start", "enable", "push"},
		Long: `apply loads a compiled folder on the host that it runs on. It needs root.

First it makes all checks and loads the folder into a temporary network namespace. Then it
changes the rules in one step for each family, so that no packet passes a mixture of old
and new rules, and checks the result. If anything fails, it restores the previous rules
and sets. It prints what changed, which traffic is newly allowed or blocked, and what to
do next.

The exit code is 0 if the rules are in force, 1 if they are not and the rules are the same
as before, 2 if the command line is wrong or the report could not be written, and 3 if
restoring the rules failed. With --boot it is 0 if the folder, or the one that was loaded
last, is loaded, and 1 if all containers are closed instead.`,
		Example: `  dockerfw apply --dry-run /etc/dockerfw.d/web-2
  dockerfw apply --dry-run --full --format json /etc/dockerfw.d/web-2
  dockerfw apply --confirm 60 /etc/dockerfw.d/web-2
  dockerfw apply --cut /etc/dockerfw.d/web-2                # and end connections that it refuses
  dockerfw apply --cut --cut-host /etc/dockerfw.d/web-2     # and those to sshd, yours too
  dockerfw apply --force /etc/dockerfw.d/web-2              # if DOCKER-USER has foreign rules
  dockerfw apply --allow-missing-interface /etc/dockerfw.d/web-2    # wg0 comes later
  dockerfw apply --backend legacy /etc/dockerfw.d/web-2     # before Docker has run
  dockerfw apply --boot /etc/dockerfw                       # what the systemd unit runs
  dockerfw apply --print-unit > /etc/systemd/system/dockerfw.service`,
		Args: func(cmd *cobra.Command, args []string) error {
			if unit {
				return noArguments(cmd, args)
			}
			if len(args) != 1 {
				return usageError(cmd, fmt.Sprintf("one compiled folder expected, got %d", len(args)))
			}
			return nil
		},
		ValidArgsFunction: completeFolders,
	}
	format := outcomeFormat(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.Backend = snapshot.Backend(backend)
		switch {
		case unit && cmd.Flags().NFlag() > 1:
			return usageError(cmd, "--print-unit cannot be combined with other options")
		case backend != "" && backend != string(snapshot.NFT) && backend != string(snapshot.Legacy):
			return usageError(cmd, fmt.Sprintf("--backend %s: write nft or legacy", backend))
		case cmd.Flags().Changed("confirm") && (opts.Confirm < 1 || opts.Confirm > 99999):
			return usageError(cmd, "--confirm takes a number of seconds, 1 to 99999")
		case opts.CutHost && !opts.Cut:
			return usageError(cmd, "--cut-host ends more connections than --cut: write both")
		case opts.DryRun && (opts.Confirm > 0 || opts.Cut):
			return usageError(cmd, "--dry-run cannot be combined with --confirm or --cut")
		case boot && (opts.DryRun || opts.Confirm > 0 || opts.Cut || opts.Force || opts.AllowMissing || full || backend != ""):
			return usageError(cmd, "--boot cannot be combined with other options")
		case unit:
			return printUnit(cmd, apply.UnitName)
		}
		report := reporter{cmd, "apply", format.write(), outcome.Style{Color: colored(cmd.OutOrStdout()), Full: full}}
		start := apply.New
		if boot {
			start = apply.NewForBoot
		}
		a, err := newApplier(cmd, start)
		if err != nil {
			return report.failed(err)
		}
		if boot {
			result, err := a.Boot(args[0])
			if err != nil {
				return report.failed(err)
			}
			return report.write(outcome.Boot(result))
		}
		early := &outcome.Early{DryRun: opts.DryRun, Full: full}
		a.OnPlan, a.OnLoad = early.Planned, early.Loaded
		result, err := a.Load(args[0], opts)
		if err != nil {
			return report.failed(err)
		}
		done, fault := outcome.Apply(result, opts, early, apply.ReadBootUnit("/"))
		if err := report.write(done); err != nil {
			return err
		}
		return fault
	}
	f := cmd.Flags()
	f.BoolVar(&opts.DryRun, "dry-run", false, "make all checks and print the plan; change nothing")
	f.BoolVar(&full, "full", false, "list all entries of sets and all changes")
	f.IntVar(&opts.Confirm, "confirm", 0, "roll back after this many `seconds` unless confirmed; \"dockerfw confirm\" does that")
	f.BoolVar(&opts.Cut, "cut", false, "end open connections that the new rules refuse; those to the host itself stay open")
	f.BoolVar(&opts.CutHost, "cut-host", false, "with --cut, end those to the host itself too; your own session is among them")
	f.BoolVar(&opts.Force, "force", false, "delete or replace foreign rules and sets; rules in chains that are replaced, and sets with names of the policy")
	f.BoolVar(&opts.AllowMissing, "allow-missing-interface", false, "load rules for interfaces that this host lacks; it does not have them yet, or iptables sees no packet on them")
	f.StringVar(&backend, "backend", "", "the `kind` of iptables to use before Docker has run: nft or legacy")
	f.BoolVar(&boot, "boot", false, "load the folder at boot; if that fails, the one that was loaded last, or else close all containers")
	f.BoolVar(&unit, "print-unit", false, "print the systemd unit that loads the rules at boot; it loads "+apply.BootFolder+" before Docker starts")
	return cmd
}

// completeFolders offers directories.
func completeFolders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// printUnit prints a systemd unit with the path of this program.
func printUnit(cmd *cobra.Command, name string) error {
	program, err := apply.Program()
	if err != nil {
		return err
	}
	text, err := apply.Unit(name, program)
	if err != nil {
		return err
	}
	if warning := apply.UnitWarning(program); warning != "" {
		escape.Fprintf(cmd.ErrOrStderr(), "dockerfw: warning: %s\n", warning)
	}
	for line := range strings.Lines(text) {
		if err := escape.Fprintf(cmd.OutOrStdout(), "%s\n", strings.TrimSuffix(line, "\n")); err != nil {
			return err
		}
	}
	return nil
}

// newApplier returns an Applier, made by start, whose messages go to standard error. On a terminal, so does what a
// load that takes over a second is doing.
func newApplier(cmd *cobra.Command, start func() (*apply.Applier, error)) (*apply.Applier, error) {
	a, err := start()
	if failure := (*apply.Failure)(nil); errors.As(err, &failure) {
		return nil, err
	}
	if err != nil {
		return nil, &apply.Failure{Err: err, State: apply.Unchanged}
	}
	a.Warn = func(text string) {
		for i, line := range strings.Split(text, "\n") {
			escape.Fprintf(cmd.ErrOrStderr(), "%s%s\n", escape.Safe([]string{"dockerfw: ", "  | "}[min(i, 1)]), line)
		}
	}
	if f, ok := fileOf(cmd.ErrOrStderr()); ok && terminal(f) {
		begin := time.Now()
		a.Progress = func(step string) {
			if time.Since(begin) > time.Second {
				escape.Fprintf(cmd.ErrOrStderr(), "%s …\n", step)
			}
		}
	}
	return a, nil
}

type outcomeWriter func(io.Writer, *outcome.Report, outcome.Style) error

func outcomeFormat(cmd *cobra.Command) *formatFlag[outcomeWriter] {
	return newFormatFlag(cmd, outputFormat[outcomeWriter]{"text", outcome.WriteText}, outputFormat[outcomeWriter]{"json", outcome.WriteJSON})
}

// reporter writes what an operation did.
type reporter struct {
	cmd       *cobra.Command
	operation string
	to        outcomeWriter
	style     outcome.Style
}

func (r reporter) write(report *outcome.Report) error {
	return r.to(r.cmd.OutOrStdout(), report, r.style)
}

// failed prints why an operation failed, and returns its exit code.
func (r reporter) failed(err error) error {
	printError(r.cmd.ErrOrStderr(), err)
	if err := r.write(outcome.Failed(r.operation, err)); err != nil {
		return err
	}
	var failure *apply.Failure
	if errors.As(err, &failure) && failure.State == apply.Unknown {
		return exitError(3)
	}
	return exitError(exitNo)
}

// wantsJSON reports whether a command line asks for JSON, also one that cannot be parsed.
func wantsJSON(args []string) bool {
	for i, a := range args {
		if a == "--format=json" || a == "--format" && i+1 < len(args) && args[i+1] == "json" {
			return true
		}
	}
	return false
}

// writeUsageReport writes the report of a wrong command line, if the command is one whose failures
// have a report.
func writeUsageReport(w io.Writer, usage *usageProblem) {
	operation := strings.TrimPrefix(usage.command, "dockerfw ")
	if slices.Contains([]string{"apply", "confirm", "rollback", "remove"}, operation) {
		_ = outcome.WriteJSON(w, outcome.Failed(operation, usage), outcome.Style{})
	}
}

// operationCommand is a command without arguments that changes this host.
func operationCommand(cmd *cobra.Command, run func(*cobra.Command, *apply.Applier) (*outcome.Report, error)) *cobra.Command {
	cmd.Args = noArguments
	format := outcomeFormat(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report := reporter{cmd, cmd.Name(), format.write(), outcome.Style{Color: colored(cmd.OutOrStdout())}}
		a, err := newApplier(cmd, apply.New)
		var done *outcome.Report
		if err == nil {
			done, err = run(cmd, a)
		}
		switch {
		case err != nil:
			return report.failed(err)
		case done == nil:
			return nil
		}
		return report.write(done)
	}
	return cmd
}
