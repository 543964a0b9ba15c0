package main

import (
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/findings"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func checkCommand() *cobra.Command {
	var (
		flags    policyFlags
		compared publishedFlags
		strict   bool
	)
	type writer func(io.Writer, hcl.Diagnostics, map[string][]byte) error
	cmd := &cobra.Command{
		Use:        "check POLICY",
		Short:      "Report errors, warnings and rules without effect",
		SuggestFor: []string{"validate", "lint", "vet", "analyze", "audit"},
		Long: `check compiles a policy and reports all errors and warnings. It finds rules without
effect: rules that can never match, that other rules shadow, or whose removal would
change no verdict. It considers every possible packet. It writes no files.

With --compose or --published it also compares the policy with what containers publish:
published ports that no rule lists, rules that list ports which nothing publishes, ports
that are open to everyone, also through docker-proxy, and containers that are reached in
other ways. Each host of the policy is compared; --host chooses one.

A comment # dockerfw:ignore CLASS REASON suppresses the warnings of a class on its
line, on the next line, or in the block that begins there.

The exit code is 1 if there is an error, or a warning with --strict, and 2 if the
policy, a Compose file or the list of containers cannot be read.`,
		Example: `  dockerfw check policy.hcl
  dockerfw check --compose compose.yaml --compose compose.prod.yaml policy.hcl
  dockerfw check --compose compose.yaml --env-file prod.env --profile debug policy.hcl
  docker ps --format json | dockerfw check --published - policy.hcl
  dockerfw check policy.hcl --format github --strict    # in CI
  dockerfw check policy.hcl --now 2027-01-31            # what has expired by then`,
		Args:              onePolicy,
		ValidArgsFunction: completePolicies,
	}
	// Text goes to standard error, the formats for programs to standard output.
	format := newFormatFlag(cmd,
		outputFormat[writer]{"text", nil}, outputFormat[writer]{"json", findings.WriteJSON},
		outputFormat[writer]{"sarif", findings.WriteSARIF}, outputFormat[writer]{"github", findings.WriteGitHub}, outputFormat[writer]{"gitlab", findings.WriteGitLab})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := flags.options()
		if err != nil {
			return err
		}
		if problem := compared.problem(); problem != "" {
			return usageError(cmd, problem)
		}
		// The comparison names rules of the policy, and reads what each of them lists.
		opts.Fold.NoFold = opts.Fold.NoFold || compared.given()
		opts.Lint, opts.PoliciesOnly = true, !compared.given()
		result, diags := driver.Policy(args[0], opts)
		list, sources, unread := compared.read(cmd.InOrStdin())
		switch {
		case diags.HasErrors():
			diags = append(diags, unread...)
		case unread.HasErrors():
			diags = diag.Unique(append(append(diags, result.Lint()...), unread...))
		default:
			more, err := compared.compare(args[0], result, list)
			if err != nil {
				return err
			}
			diags = diag.Unique(append(append(diags, more...), compared.lint(result)...))
		}
		maps.Copy(sources, result.Sources)
		levels := countLevels(diags)
		if write := format.write(); write != nil {
			if err := write(cmd.OutOrStdout(), diags, sources); err != nil {
				return err
			}
		} else {
			printDiagnostics(cmd.ErrOrStderr(), diags, sources)
			escape.Fprintf(cmd.ErrOrStderr(), "%s\n", checkSummary(args[0], levels))
		}
		if len(result.Sources) == 0 || unread.HasErrors() { // something could not be read
			return exitError(exitTrouble)
		}
		return exitUnless(levels["error"] == 0 && (!strict || levels["warning"] == 0))
	}
	flags.add(cmd)
	compared.add(cmd)
	cmd.Flags().BoolVar(&strict, "strict", false, "exit with 1 for warnings too")
	return cmd
}

// checkSummary counts what was found: policy.hcl: no errors, 2 warnings, 1 note.
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
