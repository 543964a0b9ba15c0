package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func checkCommand() *cobra.Command {
	var (
		flags  policyFlags
		strict bool
	)
	format := "text"
	cmd := &cobra.Command{
		Use:   "check POLICY",
		Short: "Report errors, warnings and rules in vain; write nothing",
		Long: `check compiles a policy and reports all errors and warnings, and what is said in vain:
rules that can never match, that others cover, or whose removal changes nothing; exactly,
over all packets there can be. It writes nothing.

A comment # dockerfw:ignore CLASS REASON silences the warnings of a class on its line, on
the next line, or in the block that begins there.

The exit code is 1 if there is an error, or with --strict a warning, and 2 if the policy
cannot be read at all.`,
		Example: `  dockerfw check policy.hcl
  dockerfw check policy.hcl --format github --strict    # in CI`,
		Args:              onePolicy,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			write, machine := map[string]func(io.Writer, hcl.Diagnostics, map[string][]byte) error{
				"json": findingsJSON, "sarif": findingsSARIF, "github": findingsGitHub,
			}[format]
			if !machine && format != "text" {
				return usageError(cmd, fmt.Sprintf("unknown format %q: text, json, sarif or github", format))
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			result, diags := driver.Policy(args[0], opts)
			if !diags.HasErrors() {
				diags = diag.Unique(append(diags, result.Lint()...))
			}
			stderr := cmd.ErrOrStderr()
			if machine {
				if err := write(cmd.OutOrStdout(), diags, result.Sources); err != nil {
					return err
				}
			} else {
				printDiagnostics(stderr, diags, result.Sources)
			}
			levels := countLevels(diags)
			if !machine {
				escape.Fprintf(stderr, "%s\n", checkSummary(args[0], levels))
			}
			switch {
			case len(result.Sources) == 0:
				// There was nothing to check.
				return exitError(exitTrouble)
			case levels["error"] > 0 || strict && levels["warning"] > 0:
				return exitError(exitNo)
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&format, "format", format, "how to report: text, json, sarif or github")
	cmd.Flags().BoolVar(&strict, "strict", false, "let warnings make the exit code 1")
	return cmd
}

func countLevels(diags hcl.Diagnostics) map[string]int {
	out := map[string]int{}
	for _, d := range diags {
		out[diag.Level(d)]++
	}
	return out
}

func checkSummary(policy string, levels map[string]int) string {
	if n := levels["error"]; n > 0 {
		return words.Count(n, "error") + "."
	}
	parts := []string{"no errors", words.Count(levels["warning"], "warning")}
	if n := levels["note"]; n > 0 {
		parts = append(parts, words.Count(n, "note"))
	}
	return fmt.Sprintf("%s: %s.", policy, strings.Join(parts, ", "))
}
