package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/manual"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// setHelp makes --help print a screen. Commands are listed in the order of commands.
func setHelp(root *cobra.Command, commands []*cobra.Command) {
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		order := commands
		if cmd != root {
			order = nil
		}
		_ = escape.Write(cmd.OutOrStdout(), escape.Safe(manual.Screen(cmd, order))) // output remembers a failed write
	})
}

// helpCommand prints all about a command, where cobra's own would print what --help does, and succeed
// for unknown commands.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "help [COMMAND]",
		Short:      "Print all about a command",
		SuggestFor: []string{"man", "usage", "docs"},
		Long: `help prints all about a command: what it does, its options and its exit codes. "dockerfw
COMMAND --help" prints a summary that fits a screen.`,
		Example: `  dockerfw help apply
  dockerfw help diff | less`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				for _, c := range cmd.Root().Commands() {
					names = append(names, c.Name()+"\t"+c.Short)
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if len(args) == 0 {
				return root.Help()
			}
			about, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(root, strings.Join(args, " "))
			}
			return escape.Write(cmd.OutOrStdout(), escape.Safe(manual.Text(about)))
		},
	}
}
