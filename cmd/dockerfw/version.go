package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser/escape"
)

func versionCommand() *cobra.Command {
	type writer func(io.Writer) error
	cmd := &cobra.Command{
		Use:        "version",
		Short:      "Print the version",
		SuggestFor: []string{"about"},
		Long: `version prints the version and, in a build from a git repository, the commit. With
--format json it also prints the date of the commit, and what the program was built with
and for.`,
		Example: `  dockerfw version
  dockerfw version --format json`,
		Args: noArguments,
	}
	format := newFormatFlag(cmd, outputFormat[writer]{"text", writeVersion}, outputFormat[writer]{"json", writeVersionJSON})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return format.write()(cmd.OutOrStdout()) }
	return cmd
}

func writeVersion(w io.Writer) error {
	return escape.Fprintf(w, "dockerfw %s\n", driver.Version+built().suffix())
}

// writeVersionJSON writes an object. Names and meanings are stable; more may be added.
func writeVersionJSON(w io.Writer) error {
	b := built()
	return escape.JSON(w, struct {
		Version  string `json:"version"`
		Commit   string `json:"commit,omitempty"`
		Date     string `json:"date,omitempty"`
		Modified bool   `json:"modified"`
		Go       string `json:"go"`
		OS       string `json:"os"`
		Arch     string `json:"arch"`
	}{driver.Version, b.commit, b.date, b.modified, runtime.Version(), runtime.GOOS, runtime.GOARCH})
}

// build is what the program was built from, as far as the build recorded it.
type build struct {
	commit   string // all digits
	date     string // of the commit, in UTC: 2026-03-04
	modified bool   // there were changes that were not committed
}

func built() (b build) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			b.date, _, _ = strings.Cut(s.Value, "T")
		case "vcs.modified":
			b.modified = s.Value == "true"
		}
	}
	return b
}

// suffix is what follows the version in text: " (0123456789ab, modified)", or "".
func (b build) suffix() string {
	if len(b.commit) < 12 {
		return ""
	}
	modified := ""
	if b.modified {
		modified = ", modified"
	}
	return fmt.Sprintf(" (%s%s)", b.commit[:12], modified)
}
