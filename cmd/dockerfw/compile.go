package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/compiler/build"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit"
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
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			stderr := cmd.ErrOrStderr()
			result, diags := build.Policy(args[0], flags.options())
			if n := printDiagnostics(stderr, diags, result.Sources); n > 0 {
				fmt.Fprintf(stderr, "%s; nothing was written.\n", count(n, "error"))
				return exitError(exitTrouble)
			}
			folder := result.Folder()
			if check {
				return reportCheck(stderr, folder, output, args[0], quiet)
			}
			changes, err := folder.Write(output)
			if err != nil {
				return err
			}
			if !quiet {
				summary(stderr, result, changes, output)
			}
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "the output `folder` (required)")
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; exit 1 if the folder is not up to date")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only errors and warnings")
	if err := cmd.MarkFlagRequired("output"); err != nil {
		panic(err)
	}
	if err := cmd.MarkFlagDirname("output"); err != nil {
		panic(err)
	}
	return cmd
}

func reportCheck(w io.Writer, folder emit.Folder, output, policy string, quiet bool) error {
	changes, err := folder.Compare(output)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		if !quiet {
			fmt.Fprintf(w, "%s is what %s compiles to.\n", output, policy)
		}
		return nil
	}
	for _, c := range changes {
		fmt.Fprintf(w, "%-8s %s\n", c.Kind, filepath.Join(output, c.Path))
	}
	fmt.Fprintf(w, "%s is not what %s compiles to. Next: dockerfw compile %s -o %s\n", output, policy, policy, output)
	return exitError(exitNo)
}

// summary says what came out and what to do with it.
func summary(w io.Writer, result *build.Result, changes []emit.Change, output string) {
	host := result.Hosts[0].Ruleset
	for _, p := range host.Programs {
		rules := 0
		phases := map[ir.Phase]int{}
		for _, c := range p.Chains {
			rules += len(c.Rules)
			for _, r := range c.Rules {
				phases[r.Phase]++
			}
		}
		fmt.Fprintf(w, "%s  %s: %d established, %d deny, %d accept, %d default\n", p.Family, count(rules, "rule"),
			phases[ir.Established], phases[ir.Deny], phases[ir.Accept], phases[ir.Default])
	}
	for _, s := range host.Sets {
		fmt.Fprintf(w, "set   %s (%s): %s\n", s.Name, s.Type, count(len(s.Prefixes)+len(s.Members), "element"))
	}
	for _, p := range host.Programs {
		fmt.Fprintf(w, "Loading %s.\n", emit.RulesEffect(p)+" of the "+p.Family.String()+" filter table")
	}
	if len(changes) == 0 {
		fmt.Fprintf(w, "%s is up to date; nothing was written.\n", output)
	} else {
		fmt.Fprintf(w, "Wrote %s to %s.\n", count(len(changes), "file"), output)
	}
}
