package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// sides explains, in the help of commands that take one, what a side may be.
const sides = `a policy, a compiled folder, what a host saved (a folder with the output of
iptables-save, ip6tables-save and ipset save, or such files with commas between),
or "live" for the host this runs on`

func diffCommand() *cobra.Command {
	var (
		flags        policyFlags
		base, exitOn string
		chain        string
		strict       bool
		style        diff.Style
	)
	format := "text"
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what a change means: who reaches more, who reaches less",
		Long: `diff compares two sides and reports exactly which packets get another verdict: which
clients, on which interface, to which ports; the old and the new rule; an example. It
lists the members that sets gain and lose, and the rules that come and go. Each side is ` + sides + `.
With --base REV one path is named: its old side is the path at that git revision.

Where one side is a host, the other is loaded onto it in thought, so that the rules
of others there count too; those that loading would delete are called out.

The exit code is 0 if everyone reaches what they reached and is answered as before,
1 if not, 2 if there is no answer.`,
		Example: `  dockerfw diff --base origin/main policy.hcl
  dockerfw diff --base origin/main policy.hcl --exit-on widened --format markdown
  dockerfw diff live compiled        # on the host, before loading
  dockerfw diff old.v4,old.v6,old.ipset policy.hcl`,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := map[string]func(io.Writer, []*diff.Report, diff.Style) error{
				"text": diff.WriteText, "json": diff.WriteJSON, "markdown": diff.WriteMarkdown,
			}[format]
			effects := map[string][]diff.Effect{
				"any": nil, "widened": {diff.Widened, diff.Both}, "narrowed": {diff.Narrowed, diff.Both},
			}
			gate, known := effects[exitOn]
			switch {
			case !ok:
				return usageError(cmd, fmt.Sprintf("unknown format %q: text, json or markdown", format))
			case !known:
				return usageError(cmd, fmt.Sprintf("--exit-on %s: any, widened or narrowed", exitOn))
			case base != "" && len(args) != 1:
				return usageError(cmd, fmt.Sprintf("with --base name one path, not %d: its two versions are compared", len(args)))
			case base == "" && len(args) != 2:
				return usageError(cmd, fmt.Sprintf("two sides are compared, and %d named: OLD and NEW", len(args)))
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			var before *snapshot.Fleet
			if base != "" {
				before, err = opened(cmd, func() (*snapshot.Fleet, hcl.Diagnostics, error) {
					return snapshot.OpenRevision(base, args[0], opts)
				})
			} else {
				before, err = openSide(cmd, args[0], opts)
			}
			if err != nil {
				return err
			}
			after, err := openSide(cmd, args[len(args)-1], opts)
			if err != nil {
				return err
			}
			reports, err := diff.Fleet(before, after, diff.Options{Chain: chain, Full: style.Full})
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			style.Color = colored(out)
			if err := write(out, reports, style); err != nil {
				return err
			}
			if counts(reports, gate, strict) {
				return exitError(exitNo)
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&base, "base", "", "compare a path with itself at this git `revision`")
	cmd.Flags().StringVar(&format, "format", format, "how to report: text, json or markdown")
	cmd.Flags().StringVar(&exitOn, "exit-on", "any", "exit with 1 on any difference, or only if something is widened or narrowed")
	cmd.Flags().BoolVar(&strict, "strict", false, "let rules that are written differently, sets without a difference in reach, and verdicts of the same reach count")
	cmd.Flags().BoolVar(&style.Full, "full", false, "list all changes, members and rules")
	cmd.Flags().StringVar(&chain, "chain", "", "compare two hosts from this `chain` on (default DOCKER-USER, or FORWARD where there is none)")
	return cmd
}

// counts tells whether the differences are such that the exit code says so.
func counts(reports []*diff.Report, gate []diff.Effect, strict bool) bool {
	return slices.ContainsFunc(reports, func(r *diff.Report) bool {
		if gate != nil {
			return slices.Contains(gate, r.Effect)
		}
		return r.Different() || strict && len(r.Rules)+len(r.Foreign)+len(r.Sets)+len(r.SameReach) > 0
	})
}

// openSide opens one of the things that commands look at, and prints what is
// wrong with it.
func openSide(cmd *cobra.Command, name string, opts driver.Options) (*snapshot.Fleet, error) {
	return opened(cmd, func() (*snapshot.Fleet, hcl.Diagnostics, error) { return snapshot.Open(name, opts) })
}

func opened(cmd *cobra.Command, open func() (*snapshot.Fleet, hcl.Diagnostics, error)) (*snapshot.Fleet, error) {
	side, diags, err := open()
	// Warnings are for compile and check; here they would drown the answer.
	diags = slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return d.Severity != hcl.DiagError })
	var sources map[string][]byte
	if side != nil {
		sources = side.Sources
	}
	if n := printDiagnostics(cmd.ErrOrStderr(), diags, sources); n > 0 {
		escape.Fprintf(cmd.ErrOrStderr(), "%s.\n", count(n, "error"))
		return nil, exitError(exitTrouble)
	}
	if side != nil && side.Note != "" {
		for line := range strings.SplitSeq(side.Note, "\n") {
			escape.Fprintf(cmd.ErrOrStderr(), "dockerfw: %s\n", line)
		}
	}
	if err == nil && len(side.Hosts) == 0 {
		err = fmt.Errorf("no host")
	}
	return side, err
}

// colored tells whether what is written to w may have colours.
func colored(w io.Writer) bool {
	f, ok := fileOf(w)
	return ok && terminal(f) && os.Getenv("NO_COLOR") == ""
}
