package main

import (
	"context"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
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
		Use:   "compile POLICY",
		Short: "Write the files that a host loads",
		Long: `compile writes the files that a host loads into the output folder, all or nothing.
POLICY is a file, or a directory whose *.hcl and *.hcl.json files are read as one.
The output folder belongs to dockerfw: it holds nothing but what was compiled.

With --check nothing is written; the exit code is 1 if the folder is not exactly what
the policy compiles to.`,
		Example: `  dockerfw compile policy.hcl -o compiled
  dockerfw compile policy/ -o compiled -var 'friends=["192.0.2.10"]'
  dockerfw compile policy.hcl -o compiled --check     # in CI`,
		Args:              onePolicy,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return usageError(cmd, "no output folder: name one with -o")
			}
			stderr := cmd.ErrOrStderr()
			opts, err := flags.options()
			if err != nil {
				return err
			}
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
				return reportCheck(cmd.OutOrStdout(), files, output, args[0], quiet)
			}
			var changes []folder.Change
			err = cleanly(func(ctx context.Context) error {
				changes, err = files.WriteContext(ctx, output)
				return err
			})
			if err != nil {
				return err
			}
			if !quiet {
				summary(stderr, result, args[0], changes, output)
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "the output `folder` (required)")
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit 1 if the folder is not up to date")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only errors and warnings")
	if err := cmd.MarkFlagDirname("output"); err != nil {
		panic(err)
	}
	return cmd
}

func reportCheck(w io.Writer, files folder.Contents, output, policy string, quiet bool) error {
	changes, err := files.Compare(output)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		if !quiet {
			escape.Fprintf(w, "%s is what %s compiles to.\n", output, policy)
		}
		return nil
	}
	for _, c := range changes {
		escape.Fprintf(w, "%-8s %s\n", c.Kind, filepath.Join(output, c.Path))
	}
	escape.Fprintf(w, "%s is not what %s compiles to. Next: the same command without --check.\n", output, policy)
	return exitError(exitNo)
}
