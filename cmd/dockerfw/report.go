package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/report"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/diag"
)

func reportCommand() *cobra.Command {
	var (
		flags    policyFlags
		compared publishedFlags
		base     string
	)
	format := "text"
	cmd := &cobra.Command{
		Use:   "report WHAT [NEW]",
		Short: "Show who can reach what",
		Long: `report shows for each client and each published port, and for the ports of the host,
whether the client gets through, the rule that decides and where it was written, and an
example packet; and the sets with their sizes. The tables are complete: what no rule
lists is in a row and a column of its own.

WHAT is ` + sides + `.
With two sides, or with --base REV, each cell also shows what the change means.

The exit code is 0, and 2 on errors.`,
		Example: `  dockerfw report policy.hcl
  dockerfw report policy.hcl --format html > report.html      # one file, without network
  dockerfw report policy.hcl --compose compose.yaml           # with the ports of services
  dockerfw report live --format markdown
  dockerfw report live compiled                               # what loading would change
  dockerfw report --base origin/main policy.hcl --format html > report.html`,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !slices.Contains(report.Formats, format):
				return usageError(cmd, fmt.Sprintf("unknown format %q: write text, markdown, json or html", format))
			case base != "" && len(args) != 1:
				return usageError(cmd, fmt.Sprintf("--base compares two revisions of one path: give one path, not %d", len(args)))
			case len(args) < 1 || len(args) > 2:
				return usageError(cmd, fmt.Sprintf("give one side, or two to compare, not %d", len(args)))
			}
			if problem := compared.problem(); problem != "" {
				return usageError(cmd, problem)
			}
			policy, err := flags.options()
			if err != nil {
				return err
			}
			list, sources, unread := compared.read(cmd.InOrStdin())
			if n := printDiagnostics(cmd.ErrOrStderr(), unread, sources); n > 0 {
				return exitError(exitTrouble)
			}
			var before *snapshot.Fleet
			switch {
			case base != "":
				before, err = openSideAt(cmd, base, args[0], policy)
			case len(args) == 2:
				before, err = openSide(cmd, args[0], policy)
			}
			if err != nil {
				return err
			}
			name := args[len(args)-1]
			after, err := openSide(cmd, name, policy)
			if err != nil {
				return err
			}
			reports, err := reportsOf(before, after, report.Options{Published: list.Ports})
			if err != nil {
				return err
			}
			if err := addFindings(reports, after, name, policy, &compared, list); err != nil {
				return err
			}
			return report.Write(cmd.OutOrStdout(), format, reports, report.Style{Color: colored(cmd.OutOrStdout())})
		},
	}
	flags.add(cmd)
	compared.add(cmd)
	cmd.Flags().StringVar(&base, "base", "", "compare a path with itself at this git `revision`")
	cmd.Flags().StringVar(&format, "format", format, "the output `format`: text, markdown, json or html")
	return cmd
}

// reportsOf reports on the hosts of a side, each compared with the host of the same label. A host
// that is new is not compared.
func reportsOf(before, after *snapshot.Fleet, opts report.Options) ([]*report.Report, error) {
	var out []*report.Report
	for _, h := range after.Hosts {
		old, err := counterpart(before, after, h)
		if err != nil {
			return nil, err
		}
		r, err := report.Build(old, h, opts)
		if err != nil {
			return nil, err
		}
		if before != nil && old == nil {
			r.Notes = append(r.Notes, fmt.Sprintf("the host is new: %s does not have it", before.Name))
		}
		out = append(out, r)
	}
	return out, nil
}

// counterpart is the host that another one is compared with; nil for none.
func counterpart(before, after *snapshot.Fleet, h *snapshot.Host) (*snapshot.Host, error) {
	switch {
	case before == nil:
		return nil, nil
	case len(before.Hosts) == 1 && len(after.Hosts) == 1:
		return before.Hosts[0], nil
	case !before.Kind.Compiled() || !after.Kind.Compiled():
		return nil, errors.New("a host is compared with one host: choose it with --host")
	}
	if i := slices.IndexFunc(before.Hosts, func(o *snapshot.Host) bool { return o.Label == h.Label }); i >= 0 {
		return before.Hosts[i], nil
	}
	return nil, nil
}

// addFindings adds what check finds in a policy, and what is known about the interfaces of a live
// host.
func addFindings(reports []*report.Report, side *snapshot.Fleet, name string, policy driver.Options, compared *publishedFlags, list published.List) error {
	switch side.Kind {
	case snapshot.Live:
		for _, f := range facts.Network(side.Hosts[0], side.Hosts[0]) {
			reports[0].Findings = append(reports[0].Findings, report.Finding{Level: f.Heading(), Code: f.Name, Text: f.Text})
		}
	case snapshot.Policy:
		result, diags := driver.Policy(name, policy)
		if diags.HasErrors() {
			return diags // it compiled before: a file has changed since
		}
		more, err := compared.compare(name, result, list)
		if err != nil {
			return err
		}
		found := findingsOf(diag.Unique(append(append(diags, more...), compared.lint(result)...)))
		for _, r := range reports {
			r.Findings = found
		}
	case snapshot.Folder, snapshot.Saved:
	}
	return nil
}

func findingsOf(diags hcl.Diagnostics) []report.Finding {
	var out []report.Finding
	for _, d := range diags {
		info := diag.InfoOf(d)
		f := report.Finding{Level: diag.Level(d), Code: info.Code.String(), Text: d.Summary}
		if hosts := info.HostsText(); hosts != "" {
			f.Text += " (" + hosts + ")"
		}
		// What follows the first paragraph are lines to copy into a policy.
		if detail, _, _ := strings.Cut(d.Detail, "\n\n"); detail != "" {
			f.Text += ". " + detail
		}
		if d.Subject != nil {
			f.Place = snapshot.PlaceText(*d.Subject)
			if name, outside := diag.OutsideName(*d.Subject); outside {
				f.Place = name
			}
		}
		out = append(out, f)
	}
	return out
}
