package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/manual"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
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
	var pages string
	cmd := &cobra.Command{
		Use:        "help [COMMAND]",
		Short:      "Print all about a command",
		SuggestFor: []string{"man", "usage", "docs"},
		Long: `help prints all about a command: what it does, its options and its exit codes. "dockerfw
COMMAND --help" prints a summary that fits a screen.

With --man it writes the manual pages of all commands into a directory. The packages
install them.`,
		Example: `  dockerfw help apply
  dockerfw help diff | less
  dockerfw help --man /usr/local/share/man/man1`,
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
			switch {
			case pages != "" && len(args) > 0:
				return usageError(cmd, "--man writes the pages of all commands: give it no command")
			case pages != "":
				return writePages(cmd, pages)
			case len(args) == 0:
				return root.Help()
			}
			about, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(root, strings.Join(args, " "))
			}
			return escape.Write(cmd.OutOrStdout(), escape.Safe(manual.Text(about)))
		},
	}
	cmd.Flags().StringVar(&pages, "man", "", "write the manual pages of all commands into a `directory`")
	if err := cmd.MarkFlagDirname("man"); err != nil {
		panic(err)
	}
	return cmd
}

// writePages writes the manual pages into a directory, which is created if it is missing.
func writePages(cmd *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pages := manual.Pages(cmd.Root(), manual.Edition{Version: driver.Version, Date: built().date})
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(pages[name]), 0o644); err != nil {
			return err
		}
	}
	return escape.Fprintf(cmd.ErrOrStderr(), "Wrote %s into %s.\n", words.Count(len(pages), "manual page"), dir)
}
