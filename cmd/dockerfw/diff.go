package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

func diffCommand() *cobra.Command {
	var (
		flags policyFlags
		base  string
		opts  diff.Options
		gate  diff.Gate
		style diff.Style
	)
	format := "text"
	cmd := &cobra.Command{
		Use:        "diff OLD NEW",
		Short:      "Show which traffic a change newly allows or blocks",
		SuggestFor: []string{"plan", "compare", "preview", "changes"},
		Long: `diff compares two sides and reports exactly which packets get a different verdict:
from which clients, on which interface, to which ports; the old and the new rule; and an
example. It lists the entries that sets gain and lose, and the rules that are added,
removed and moved.

Each side is ` + sides + `.
With --base REV give one path: its old side is the path at that git revision.

If one side is a host, diff simulates loading the other side onto it. The host's foreign
rules then count on both sides; diff lists those that loading would delete.

The exit code is 0 if no traffic is newly allowed, newly blocked or refused in another
way, 1 if any is, 2 on errors.`,
		Example: `  dockerfw diff --base origin/main policy.hcl
  dockerfw diff --base origin/main policy.hcl --exit-on widened --format markdown
  dockerfw diff live compiled              # on the host, before loading
  dockerfw diff ssh://root@web1 compiled   # the same, from here
  dockerfw diff --full --strict live compiled
  dockerfw diff --chain FORWARD old.v4 new.v4
  dockerfw diff old.v4,old.v6,old.ipset policy.hcl`,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !slices.Contains(diff.Formats, format):
				return usageError(cmd, fmt.Sprintf("unknown format %q: write text, json or markdown", format))
			case !slices.Contains(diff.Gates, gate.On):
				return usageError(cmd, fmt.Sprintf("--exit-on %s: write any, widened or narrowed", gate.On))
			case base != "" && len(args) != 1:
				return usageError(cmd, fmt.Sprintf("--base compares two revisions of one path: give one path, not %d", len(args)))
			case base == "" && len(args) != 2:
				return usageError(cmd, fmt.Sprintf("diff compares two sides, OLD and NEW, not %d", len(args)))
			}
			policy, err := flags.options()
			if err != nil {
				return err
			}
			policy.Lines = &driver.Lines{} // both sides have most of them, and proof and snapshot all
			before, after, err := openBoth(cmd, base, args, policy)
			if err != nil {
				return err
			}
			defer before.Close()
			defer after.Close()
			opts.Full = style.Full
			reports, diags, err := diff.Sides(before, after, opts)
			sources := map[string][]byte{}
			maps.Copy(sources, before.Sources)
			maps.Copy(sources, after.Sources)
			if err := reportErrors(cmd, diags, sources); err != nil {
				return err
			}
			if err != nil {
				return err
			}
			style.Color = colored(cmd.OutOrStdout())
			if err := diff.Write(cmd.OutOrStdout(), format, reports, style); err != nil {
				return err
			}
			if gate.Fails(reports) {
				return exitError(exitNo)
			}
			return nil
		},
	}
	flags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&base, "base", "", "compare a path with itself at this git `revision`")
	f.StringVar(&format, "format", format, "the output `format`: text, json or markdown")
	f.StringVar(&gate.On, "exit-on", "any", "the `kind` to exit with 1 on: any, widened or narrowed; widened is newly allowed traffic, narrowed is newly blocked traffic")
	f.BoolVar(&gate.Strict, "strict", false, "also exit with 1 on other differences: rules written differently, other set entries, and a different verdict for the same reach")
	f.BoolVar(&style.Full, "full", false, "list all changes, set entries and rules")
	f.StringVar(&opts.Chain, "chain", "", "compare two hosts from this `chain` on (default DOCKER-USER, or FORWARD if neither has it)")
	return cmd
}

// openBoth opens the two sides of a comparison: of two paths, or of one with itself at a revision. A
// host is opened last, when it is known what it is compared with.
func openBoth(cmd *cobra.Command, base string, args []string, policy driver.Options) (before, after *snapshot.Side, err error) {
	switch {
	case base != "":
		if before, err = openComparedAt(cmd, base, args[0], policy); err != nil {
			return nil, nil, err
		}
		after, err = openCompared(cmd, nil, args[0], policy)
	case args[0] == snapshot.LiveName:
		if after, err = openCompared(cmd, nil, args[1], policy); err != nil {
			return nil, nil, err
		}
		before, err = openCompared(cmd, after, args[0], policy)
	default:
		if before, err = openCompared(cmd, nil, args[0], policy); err != nil {
			return nil, nil, err
		}
		after, err = openCompared(cmd, before, args[1], policy)
	}
	return before, after, err
}
