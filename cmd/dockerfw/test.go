package main

import (
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
	type writer func(io.Writer, []policytest.Result) error
	cmd := &cobra.Command{
		Use:   "test POLICY",
		Short: "Run the test blocks of a policy",
		Long: `test compiles a policy and runs its test blocks. It writes no files.

The exit code is 1 if a test fails, and 2 if the policy has errors.`,
		Example: `  dockerfw test policy.hcl
  dockerfw test policy.hcl --format junit > report.xml     # in CI`,
		Args:              onePolicy,
		ValidArgsFunction: completePolicies,
	}
	format := newFormatFlag(cmd,
		outputFormat[writer]{"text", testreport.WriteText}, outputFormat[writer]{"json", testreport.WriteJSON}, outputFormat[writer]{"junit", testreport.WriteJUnit})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := flags.options()
		if err != nil {
			return err
		}
		result, diags := driver.Policy(args[0], opts)
		if n := printDiagnostics(cmd.ErrOrStderr(), diags, result.Sources); n > 0 {
			escape.Fprintf(cmd.ErrOrStderr(), "%s; no tests were run.\n", words.Count(n, "error"))
			return exitError(exitTrouble)
		}
		results := result.Test()
		if err := format.write()(cmd.OutOrStdout(), results); err != nil {
			return err
		}
		return exitUnless(policytest.Failed(results) == 0)
	}
	flags.add(cmd)
	return cmd
}
