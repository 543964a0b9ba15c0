package main

import (
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func confirmCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "confirm",
		Short:   "Keep the change that waits for confirmation",
		Long:    `confirm keeps the change that "dockerfw apply --confirm" has loaded on this host.`,
		Example: `  dockerfw confirm`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApplier(cmd)
			if err == nil {
				_, err = a.Confirm()
			}
			if err != nil {
				return failed(cmd, err)
			}
			return escape.Fprintf(cmd.OutOrStdout(), "confirmed\n")
		},
	}
}

func rollbackCommand() *cobra.Command {
	var token string
	cmd := &cobra.Command{
		Use:     "rollback",
		Short:   "Undo the change that waits for confirmation",
		Long:    `rollback restores the rules and sets from before "dockerfw apply --confirm" on this host.`,
		Example: `  dockerfw rollback`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := newApplier(cmd)
			switch {
			case err != nil:
			case token != "":
				return a.Expire(token)
			default:
				_, err = a.Rollback("")
			}
			if err != nil {
				return failed(cmd, err)
			}
			return escape.Fprintf(cmd.OutOrStdout(), "rolled back to the previous rules and sets\n")
		},
	}
	cmd.Flags().StringVar(&token, apply.ExpireFlag, "", "")
	_ = cmd.Flags().MarkHidden(apply.ExpireFlag)
	return cmd
}
