package main

import (
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/outcome"
)

func confirmCommand() *cobra.Command {
	return operationCommand(&cobra.Command{
		Use:        "confirm",
		Short:      "Keep the change that waits for confirmation",
		SuggestFor: []string{"keep", "commit", "accept"},
		Long: `confirm keeps the change that "dockerfw apply --confirm" has loaded on this host. Run it in
a new connection to the host: that it opens shows that the rules let you in. It needs root.

The exit code is 0 if the change is kept, and 1 if no change waits or it cannot be kept.`,
		Example: `  dockerfw apply --confirm 60 /etc/dockerfw.d/web-2
  dockerfw confirm`,
	}, func(_ *cobra.Command, a *apply.Applier) (*outcome.Report, error) {
		result, err := a.Confirm()
		if err != nil {
			return nil, err
		}
		return outcome.Confirm(result, apply.ReadBootUnit("/")), nil
	})
}

func rollbackCommand() *cobra.Command {
	var token string
	cmd := operationCommand(&cobra.Command{
		Use:        "rollback",
		Short:      "Undo the change that waits for confirmation",
		SuggestFor: []string{"undo", "revert", "abort"},
		Long: `rollback restores the rules and sets from before "dockerfw apply --confirm" on this host,
without waiting for the end of its time. It needs root. A change that was confirmed stays:
load the folder from before instead.

The exit code is 0 if the change was undone, 1 if no change waits, and 3 if restoring the
rules failed.`,
		Example: `  dockerfw rollback`,
	}, func(_ *cobra.Command, a *apply.Applier) (*outcome.Report, error) {
		if token != "" {
			return nil, a.Expire(token)
		}
		if err := a.Rollback(); err != nil {
			return nil, err
		}
		return outcome.Rollback(a.InForce()), nil
	})
	cmd.Flags().StringVar(&token, apply.ExpireFlag, "", "")
	_ = cmd.Flags().MarkHidden(apply.ExpireFlag)
	return cmd
}
