package main

import (
	"context"
	"io"

	"github.com/hashicorp/hcl/v2"
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
		Use:        "compile POLICY -o FOLDER",
		Short:      "Write the files that a host loads",
		SuggestFor: []string{"build", "make", "render", "generate", "export"},
		Long: `compile writes the files that a host loads into the output folder: all of them, or none
if there is an error. POLICY is a file, or a directory whose *.hcl and *.hcl.json files
are read as one policy. The output folder may contain nothing but compiled files.

With --check nothing is written; the exit code is 1 if the folder is out of date. A
change of the policy's text alone, such as of a comment, changes no file that a host loads:
the folder is up to date then.`,
		Example: `  dockerfw compile policy.hcl -o compiled
  dockerfw compile policy/ -o compiled -var 'clients=["192.0.2.10"]'
  dockerfw compile policy/ -o compiled --var-file prod.hcl --host web1 --quiet
  dockerfw compile policy.hcl -o compiled --allow-outside   # the policy reads ../lists
  dockerfw compile policy.hcl -o compiled --check     # in CI`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && output == "" {
				return usageError(cmd, "no policy and no output folder given: add the path of a file or directory, and -o FOLDER")
			}
			return onePolicy(cmd, args)
		},
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return usageError(cmd, "no output folder: add -o FOLDER")
			}
			opts, err := flags.options()
			if err != nil {
				return err
			}
			if quiet {
				opts.Progress = nil
			}
			stderr := cmd.ErrOrStderr()
			if check || len(opts.Hosts) > 0 {
				return compileAtOnce(cmd, args[0], output, opts, flags, check, quiet)
			}
			var result *driver.Result
			var changes []folder.Change
			err = cleanly(func(ctx context.Context) (err error) {
				result, changes, err = compileHosts(ctx, stderr, args[0], output, opts)
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

// compileHosts compiles a policy and writes the files of each host once it is proved, so that
// those of a fleet are never in memory together. The output folder changes in the end, if there
// is no error.
func compileHosts(ctx context.Context, stderr io.Writer, policy, output string, opts driver.Options) (*driver.Result, []folder.Change, error) {
	w, err := folder.NewWriter(ctx, output)
	if err == nil {
		defer w.Close()
		opts.Emit = w.AddFile
	} else {
		// Errors of the policy come first.
		opts.Emit = func(string, folder.File) error { return err }
	}
	opts.Context = ctx
	result, diags := driver.Policy(policy, opts)
	if err := printErrors(stderr, diags, result); err != nil {
		return nil, nil, err
	}
	if result.EmitError != nil {
		return nil, nil, result.EmitError
	}
	changes, err := w.Commit()
	return result, changes, err
}

// compileAtOnce compiles a policy in memory. It compares the result with the output folder, or
// writes it there; files of hosts that were not chosen stay.
func compileAtOnce(cmd *cobra.Command, policy, output string, opts driver.Options, flags policyFlags, check, quiet bool) error {
	stderr := cmd.ErrOrStderr()
	result, diags := driver.Policy(policy, opts)
	if err := printErrors(stderr, diags, result); err != nil {
		return err
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
		changes, same := files.SameButInputs(output, changes)
		again := append([]string{"dockerfw", "compile", policy, "-o", output}, flags.words()...)
		if !quiet || len(changes) > 0 {
			summary.WriteComparison(cmd.OutOrStdout(), changes, same, policy, output, shell.Command(again...))
		}
		return exitUnless(len(changes) == 0)
	}
	var changes []folder.Change
	err := cleanly(func(ctx context.Context) (err error) {
		changes, err = files.WriteContext(ctx, output)
		return err
	})
	if err == nil && !quiet {
		summary.Write(stderr, result, policy, changes, output)
	}
	return err
}

// printErrors prints diagnostics. It returns an error if one of them is an error.
func printErrors(stderr io.Writer, diags hcl.Diagnostics, result *driver.Result) error {
	if n := printDiagnostics(stderr, diags, result.Sources); n > 0 {
		escape.Fprintf(stderr, "%s; nothing was written.\n", words.Count(n, "error"))
		return exitError(exitTrouble)
	}
	return nil
}
