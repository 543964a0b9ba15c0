package main

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

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
			policy.Lines = &driver.Lines{} // as in diff
			list, sources, unread := compared.read(cmd.InOrStdin())
			if n := printDiagnostics(cmd.ErrOrStderr(), unread, sources); n > 0 {
				return exitError(exitTrouble)
			}
			var before *snapshot.Side
			switch {
			case base != "":
				before, err = openComparedAt(cmd, base, args[0], policy)
			case len(args) == 2:
				before, err = openCompared(cmd, nil, args[0], policy)
			}
			if err != nil {
				return err
			}
			if before != nil {
				defer before.Close()
			}
			name := args[len(args)-1]
			after, err := openCompared(cmd, nil, name, policy)
			if err != nil {
				return err
			}
			defer after.Close()
			reports, err := reportsOf(cmd, before, after, report.Options{Published: list.Ports})
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
// that is new is not compared. Hosts are dropped when they are reported: those of a large fleet do not fit into memory.
func reportsOf(cmd *cobra.Command, before, after *snapshot.Side, opts report.Options) ([]*report.Report, error) {
	counterparts := make([]int, len(after.Labels))
	for i, label := range after.Labels {
		var err error
		if counterparts[i], err = counterpart(before, after, label); err != nil {
			return nil, err
		}
	}
	reports, perHost, errs := make([]*report.Report, len(after.Labels)), make([]hcl.Diagnostics, len(after.Labels)), make([]error, len(after.Labels))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range after.Labels {
		group.Go(func() error {
			reports[i], perHost[i], errs[i] = reportOf(before, after, counterparts[i], i, opts)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	sources := map[string][]byte{}
	if before != nil {
		maps.Copy(sources, before.Sources)
	}
	maps.Copy(sources, after.Sources)
	if err := reportErrors(cmd, diag.Unique(slices.Concat(perHost...)), sources); err != nil {
		return nil, err
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return reports, nil
}

// reportOf reports on host i of a side, compared with another one unless old is -1.
func reportOf(before, after *snapshot.Side, old, i int, opts report.Options) (*report.Report, hcl.Diagnostics, error) {
	var earlier *snapshot.Host
	if old >= 0 {
		var diags hcl.Diagnostics
		var err error
		if earlier, diags, err = before.Read(old); err != nil || diags.HasErrors() {
			return nil, diags, err
		}
	}
	host, diags, err := after.Read(i)
	if err != nil || diags.HasErrors() {
		return nil, diags, err
	}
	r, err := report.Build(earlier, host, opts)
	if err == nil && before != nil && old < 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("the host is new: %s does not have it", before.Name))
	}
	return r, diags, err
}

// counterpart is the index of the host that one is compared with; -1 for none.
func counterpart(before, after *snapshot.Side, label string) (int, error) {
	switch {
	case before == nil:
		return -1, nil
	case len(before.Labels) == 1 && len(after.Labels) == 1:
		return 0, nil
	case !before.Kind.Compiled() || !after.Kind.Compiled():
		return -1, errors.New("a host is compared with one host: choose it with --host")
	}
	return slices.Index(before.Labels, label), nil
}

// addFindings adds what check finds in a policy, and what is known about the interfaces of a live
// host.
func addFindings(reports []*report.Report, side *snapshot.Side, name string, policy driver.Options, compared *publishedFlags, list published.List) error {
	switch side.Kind {
	case snapshot.Live:
		host, _, err := side.Read(0) // as before
		if err != nil {
			return err
		}
		for _, f := range facts.Network(host, host) {
			reports[0].Findings = append(reports[0].Findings, report.Finding{Level: f.Heading(), Code: f.Name, Text: f.Text})
		}
	case snapshot.Policy:
		policy.PoliciesOnly = !compared.given()
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
