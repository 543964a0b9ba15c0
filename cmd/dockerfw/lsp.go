package main

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/lsp"
)

func lspCommand() *cobra.Command {
	var flags policyFlags
	cmd := &cobra.Command{
		Use:   "lsp",
		Short: "Help an editor with policies (language server)",
		Long: `lsp is a language server: an editor starts it and talks to it on standard input and
output. It reports what dockerfw check reports while you type, completes blocks,
attributes, sets, values and functions, describes what is under the cursor with the rules
that are emitted for it, goes to definitions, finds references, renames, formats, and
colors. It writes no files. docs/editors.md has the setup of common editors.`,
		Example: `  dockerfw lsp
  dockerfw lsp -var-file staging.hcl    # values of the policy's variables`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := flags.options(); err != nil {
				return err
			}
			options := func() driver.Options {
				opts, _ := flags.options() // checked above; today's date can change
				return opts
			}
			return lsp.Serve(cmd.Context(), standardStreams{cmd.InOrStdin(), cmd.OutOrStdout()}, options)
		},
	}
	flags.add(cmd)
	// Editors add it; there is no other transport.
	cmd.Flags().Bool("stdio", true, "talk on standard input and output")
	_ = cmd.Flags().MarkHidden("stdio") // the flag exists
	return cmd
}

// standardStreams are the connection to the editor.
type standardStreams struct {
	io.Reader
	io.Writer
}

// Close ends a pending read, so that the server stops.
func (s standardStreams) Close() error {
	if f, ok := s.Reader.(*os.File); ok {
		return f.Close()
	}
	return nil
}
