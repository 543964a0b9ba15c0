package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/summary"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func compileCommand() *cobra.Command {
	var (
		flags        policyFlags
		output       string
		check, quiet bool
	)
	cmd := &cobra.Command{
		Use:   "compile POLICY -o FOLDER",
		Short: "Write the files that a host loads",
		Long: `compile writes the files that a host loads into the output folder: all of them, or none
if there is an error. POLICY is a file, or a directory whose *.hcl and *.hcl.json files
are read as one policy. The output folder may contain nothing but compiled files.

With --check nothing is written; the exit code is 1 if the folder is out of date.`,
		Example: `  dockerfw compile policy.hcl -o compiled
  dockerfw compile policy/ -o compiled -var 'clients=["192.0.2.10"]'
  dockerfw compile policy/ -o compiled --var-file prod.hcl --host web1 --quiet
  dockerfw compile policy.hcl -o compiled --allow-outside   # the policy reads ../lists
  dockerfw compile policy.hcl -o compiled --check     # in CI`,
		Args:              onePolicy,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return usageError(cmd, "no output folder: add -o FOLDER")
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			stderr := cmd.ErrOrStderr()
			result, diags := driver.Policy(args[0], opts)
			if n := printDiagnostics(stderr, diags, result.Sources); n > 0 {
				escape.Fprintf(stderr, "%s; nothing was written.\n", words.Count(n, "error"))
				return exitError(exitTrouble)
			}
			files := result.Folder()
			if result.Partial {
				if err := files.KeepOtherHosts(output); err != nil {
					return err
				}
			}
			if check {
				changes, err := files.Compare(output)
				if err != nil {
					return err
				}
				again := append([]string{"dockerfw", "compile", args[0], "-o", output}, flags.words()...)
				if !quiet || len(changes) > 0 {
					summary.WriteComparison(cmd.OutOrStdout(), changes, args[0], output, shell.Command(again...))
				}
				return exitUnless(len(changes) == 0)
			}
			var changes []folder.Change
			err = cleanly(func(ctx context.Context) error {
				changes, err = files.WriteContext(ctx, output)
				return err
			})
			if err == nil && !quiet {
				summary.Write(stderr, result, args[0], changes, output)
			}
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "the output `folder` (required)")
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit with 1 if the folder is out of date")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only errors and warnings")
	if err := cmd.MarkFlagDirname("output"); err != nil {
		panic(err)
	}
	return cmd
}
