package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:        "version",
		Short:      "Print the version",
		SuggestFor: []string{"about"},
		Long:       `version prints the version and, in a build from a git repository, the commit.`,
		Example:    `  dockerfw version`,
		Args:       noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return escape.Fprintf(cmd.OutOrStdout(), "dockerfw %s\n", driver.Version+revision())
		},
	}
}

// revision is the commit that the program was built from; "" if the build recorded none.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", modified"
		}
	}
	if commit == "" {
		return ""
	}
	return fmt.Sprintf(" (%s%s)", commit, dirty)
}
