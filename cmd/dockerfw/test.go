package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/testreport"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func testCommand() *cobra.Command {
	var flags policyFlags
	var threshold int
	var coverage, required bool
	type writer func(io.Writer, testreport.Report) error
	cmd := &cobra.Command{
		Use:        "test POLICY",
		Short:      "Run the test blocks of a policy",
		SuggestFor: []string{"tests", "run"},
		Long: `test compiles a policy and runs its test blocks. It writes no files.

With --coverage it lists the deny and accept blocks that decide about no packet of a test.

The exit code is 1 if a test fails or the coverage is below --threshold, and with
--require-tests also if there is no test; it is 2 if the policy has errors.`,
		Example: `  dockerfw test policy.hcl
  dockerfw test policy.hcl --format junit > report.xml     # in CI
  dockerfw test policy.hcl --require-tests                 # no tests are a failure
  dockerfw test policy.hcl --coverage --threshold 90`,
		Args:              onePolicy,
		ValidArgsFunction: completePolicies,
	}
	format := newFormatFlag(cmd,
		outputFormat[writer]{"text", testreport.WriteText}, outputFormat[writer]{"json", testreport.WriteJSON}, outputFormat[writer]{"junit", testreport.WriteJUnit})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if threshold < 0 || threshold > 100 {
			return usageError(cmd, fmt.Sprintf("--threshold %d: write a percentage from 0 to 100", threshold))
		}
		coverage = coverage || cmd.Flags().Changed("threshold")
		if coverage && format.String() == "junit" {
			return errors.New("the format junit has no coverage: write --format text or --format json")
		}
		opts, err := flags.options()
		if err != nil {
			return err
		}
		opts.PoliciesOnly = true
		result, diags := driver.Policy(args[0], opts)
		if n := printDiagnostics(cmd.ErrOrStderr(), diags, result.Sources); n > 0 {
			escape.Fprintf(cmd.ErrOrStderr(), "%s; no tests were run.\n", words.Count(n, "error"))
			return exitError(exitTrouble)
		}
		results, err := result.Test()
		if err != nil {
			return err
		}
		report := testreport.Report{Results: results}
		if coverage {
			c := policytest.CoverageOf(result.Policies(), results)
			report.Coverage = &c
		}
		if err := format.write()(cmd.OutOrStdout(), report); err != nil {
			return err
		}
		if len(results) == 0 {
			// On standard error: the report has its own form, and this is for people in each.
			escape.Fprintf(cmd.ErrOrStderr(), "%s has no test blocks: nothing was tested.\n", args[0])
			if required {
				return exitError(exitNo)
			}
		}
		return exitUnless(policytest.Failed(results) == 0 && (!coverage || report.Coverage.Percent() >= threshold))
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&coverage, "coverage", false, "list the deny and accept blocks by which no test decides")
	cmd.Flags().BoolVar(&required, "require-tests", false, "fail if the policy has no test blocks")
	cmd.Flags().IntVar(&threshold, "threshold", 0, "fail if the coverage is below this `percent`age; implies --coverage")
	return cmd
}
