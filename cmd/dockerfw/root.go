package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

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
		Version:       driver.Version + revision(),
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
	root.AddCommand(initCommand(), importCommand(), compileCommand(), checkCommand(), testCommand(), diffCommand(), explainCommand(), verifyCommand(), applyCommand(), confirmCommand(), rollbackCommand(), removeCommand(), statusCommand(), fmtCommand(), lspCommand(), versionCommand())
	refuseUnknown(root)
	return root
}

// refuseUnknown makes cobra's own commands, help and completion, fail for unknown
// arguments; by default they print a help text and succeed.
func refuseUnknown(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  dockerfw help compile"
			cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, args []string) error {
				about, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 {
					return unknownCommand(root, strings.Join(args, " "))
				}
				return about.Help()
			}
		case "completion":
			cmd.Example = "  source <(dockerfw completion bash)"
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return unknownCommand(cmd, args[0])
				}
				return nil
			}
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			for _, shell := range cmd.Commands() {
				shell.Args = noArguments
			}
		}
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	problem := fmt.Sprintf("unknown command %q", name)
	cmd.SuggestionsMinimumDistance = 1
	if len(name) > 4 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		problem += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return usageError(cmd, problem)
}

// usageError is an error in a command line; printError adds where to read on.
func usageError(cmd *cobra.Command, problem string) error {
	return &usageProblem{problem, cmd.CommandPath()}
}

type usageProblem struct{ problem, command string }

func (u *usageProblem) Error() string { return u.problem }

// flagError is the error of a bad flag. For booleans and choices it replaces pflag's text,
// which quotes Go's parsers.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		switch name := invalid.GetFlag().Name; invalid.GetFlag().Value.Type() {
		case "bool":
			return usageError(cmd, fmt.Sprintf("--%s=%s: write --%[1]s, or --%[1]s=false", name, invalid.GetValue()))
		case "int":
			return usageError(cmd, fmt.Sprintf("--%s %s: write a number", name, invalid.GetValue()))
		case formatType:
			return usageError(cmd, invalid.Unwrap().Error())
		}
	}
	return usageError(cmd, err.Error())
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
