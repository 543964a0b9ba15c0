package main

import (
	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/outcome"
)

func removeCommand() *cobra.Command {
	return operationCommand(&cobra.Command{
		Use:        "remove",
		Short:      "Remove all rules, chains and sets of dockerfw from this host",
		SuggestFor: []string{"uninstall", "down", "delete", "destroy", "unload", "flush", "stop", "disable", "reset", "clear"},
		Long: `remove removes all rules, chains and sets of dockerfw from the host that it runs on, and what
dockerfw recorded there. It needs root. DOCKER-USER and the jump to it stay for the engine.
All published ports are open then. The boot unit stays: disable it first.

The exit code is 0 if no rules of dockerfw remain, and 1 if any do.`,
		Example: `  systemctl disable dockerfw
  dockerfw remove`,
	}, func(_ *cobra.Command, a *apply.Applier) (*outcome.Report, error) {
		result, err := a.Remove()
		if err != nil {
			return nil, err
		}
		return outcome.Remove(result, apply.ReadBootUnit("/")), nil
	})
}
