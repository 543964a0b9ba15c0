package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

// rootCommand is the whole program. Its help lists the commands in the order of their use, and
// completion, help and version by name.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dockerfw",
		Short: "Control which clients may reach the ports that Docker publishes",
		Long: `dockerfw turns a short policy (which clients may reach which published ports) into
ready-to-load iptables and ipset files, and proves that they treat every packet as the
policy says.`,
		Example: `  dockerfw init                                  # write a first policy.hcl
  dockerfw check policy.hcl
  dockerfw compile policy.hcl -o compiled`,
		Version:       driver.Version + built().suffix(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("dockerfw {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(helpCommand())
	commands := []*cobra.Command{
		initCommand(),
		importCommand(),
		checkCommand(),
		testCommand(),
		compileCommand(),
		diffCommand(),
		reportCommand(),
		explainCommand(),
		applyCommand(),
		confirmCommand(),
		rollbackCommand(),
		statusCommand(),
		verifyCommand(),
		removeCommand(),
	}
	root.AddCommand(commands...)
	// With a line for each of these too, the help would not fit a screen.
	root.AddCommand(completionCommand(), fmtCommand(), lspCommand(), versionCommand())
	root.InitDefaultHelpCmd()
	setHelp(root, commands)
	return root
}

// noArguments makes sure that a command gets no arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError(cmd, fmt.Sprintf("%s takes no arguments; unexpected %q", cmd.CommandPath(), args[0]))
}

// onePolicy makes sure that a command gets exactly one policy.
func onePolicy(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return usageError(cmd, "no policy given: add the path of a file or directory")
	case 1:
		return nil
	}
	return usageError(cmd, fmt.Sprintf("one policy expected, got %d. To split a policy into several files, put them into a directory and give its path", len(args)))
}

// completePolicies offers files that may be policies.
func completePolicies(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"hcl", "json"}, cobra.ShellCompDirectiveFilterFileExt
}
