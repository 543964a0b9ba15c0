package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/starter"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func initCommand() *cobra.Command {
	var external string
	cmd := &cobra.Command{
		Use:   "init [DIRECTORY]",
		Short: "Write a first policy",
		Long: `init writes a short policy, policy.hcl, into the directory (default: the current one).
Its external interface is the one of the default route, or the one that --interface
sets. init overwrites nothing.`,
		Example: `  dockerfw init
  dockerfw init firewall --interface ens3`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError(cmd, fmt.Sprintf("one directory expected, got %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			how := "set by --interface"
			if external == "" {
				external, how = starter.DefaultInterface()
			}
			if problem := parser.CheckInterface(external); problem != "" {
				return usageError(cmd, fmt.Sprintf("bad interface %q: %s", external, problem))
			}
			var path string
			err := cleanly(func(context.Context) (err error) {
				path, err = starter.Write(dir, external)
				return err
			})
			if err != nil {
				return err
			}
			escape.Fprintf(cmd.ErrOrStderr(), "Wrote %s. The external interface is %s (%s).\nNext: add your clients to ipset \"clients\", and what else the host serves to input, then run\n  %s && %s\n",
				path, external, how, shell.Command("dockerfw", "check", path),
				shell.Command("dockerfw", "compile", path, "-o", filepath.Join(dir, "compiled")))
			return nil
		},
	}
	cmd.Flags().StringVar(&external, "interface", "", "the `name` of the interface where packets from outside arrive")
	return cmd
}
