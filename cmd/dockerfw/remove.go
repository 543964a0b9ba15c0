package main

import (
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/parser/escape"
)

func removeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "remove",
		Short: "Remove all rules, chains and sets of dockerfw from this host",
		Long: `remove removes all rules, chains and sets of dockerfw from the host that it runs on.
DOCKER-USER and the jump to it stay for the engine. All published ports are open then.`,
		Example: `  dockerfw remove`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApplier(cmd)
			if err == nil {
				_, err = a.Remove()
			}
			if err != nil {
				return failed(cmd, err)
			}
			return escape.Fprintf(cmd.OutOrStdout(), "removed: no dockerfw rules remain\n")
		},
	}
}
