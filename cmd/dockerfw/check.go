package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/compiler/build"
)

func checkCommand() *cobra.Command {
	var flags policyFlags
	cmd := &cobra.Command{
		Use:   "check POLICY",
		Short: "Report errors and warnings, write nothing",
		Long: `check compiles a policy, reports all errors and warnings, and writes nothing.
The exit code is 1 if there is an error, and 2 if the policy cannot be read at all.`,
		Example:           `  dockerfw check policy.hcl`,
		Args:              onePolicy,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			stderr := cmd.ErrOrStderr()
			opts, err := flags.options()
			if err != nil {
				return err
			}
			result, diags := build.Policy(args[0], opts)
			n := printDiagnostics(stderr, diags, result.Sources)
			if len(result.Sources) == 0 {
				// There was nothing to check.
				return exitError(exitTrouble)
			}
			if n > 0 {
				fmt.Fprintf(stderr, "%s.\n", count(n, "error"))
				return exitError(exitNo)
			}
			fmt.Fprintf(stderr, "%s: no errors, %s.\n", args[0], count(len(diags), "warning"))
			return nil
		},
	}
	flags.add(cmd)
	return cmd
}
