package main

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/parser/suggest"
)

// completionCommand has the shells as arguments, where cobra's own has a subcommand for each.
func completionCommand() *cobra.Command {
	scripts := map[string]func(*cobra.Command, io.Writer) error{
		"bash":       func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":        (*cobra.Command).GenZshCompletion,
		"fish":       func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) },
		"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
	}
	shells := slices.Sorted(maps.Keys(scripts))
	return &cobra.Command{
		Use:        "completion SHELL",
		Short:      "Print the completion script for a shell",
		SuggestFor: []string{"complete", "completions", "autocomplete"},
		Long: `completion prints the script with which a shell completes commands, options and files. SHELL is
bash, zsh, fish or powershell. The packages install the scripts.`,
		Example: `  source <(dockerfw completion bash)
  dockerfw completion zsh > "${fpath[1]}/_dockerfw"
  dockerfw completion fish > ~/.config/fish/completions/dockerfw.fish`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError(cmd, fmt.Sprintf("one shell expected, got %d: write %s", len(args), suggest.OneOf(shells)))
			}
			if scripts[args[0]] == nil {
				return usageError(cmd, fmt.Sprintf("unknown shell %q: write %s", args[0], suggest.OneOf(shells)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return scripts[args[0]](cmd.Root(), cmd.OutOrStdout())
		},
	}
}
