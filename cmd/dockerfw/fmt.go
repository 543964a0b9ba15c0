package main

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/escape"
	"github.com/dockerfw/dockerfw/parser/files"
)

func fmtCommand() *cobra.Command {
	var write, check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE | DIRECTORY | -]...",
		Short: "Rewrite policies in the canonical style",
		Long: `fmt prints policies in the canonical style of HCL. Of a directory it takes the
*.hcl files; JSON policies are left alone. Without arguments, or for -, it formats
standard input.`,
		Example: `  dockerfw fmt -w policy.hcl
  dockerfw fmt --check policy/     # in CI
  dockerfw fmt < policy.hcl`,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if write && check {
				return usageError(cmd, "--write and --check do not go together: one writes files, the other only lists them")
			}
			if len(args) == 0 {
				args = []string{"-"}
			}
			return format(cmd, args, write, check)
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the result to the file instead of standard output")
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; list files that differ, and exit 1 if there are any")
	return cmd
}

func format(cmd *cobra.Command, args []string, write, check bool) error {
	var names []string
	for _, arg := range args {
		if arg == "-" {
			if write {
				return errors.New("fmt -w needs files: standard input cannot be written to")
			}
			names = append(names, arg)
			continue
		}
		found, err := parser.FormattableFiles(arg)
		if err != nil {
			return err
		}
		names = append(names, found...)
	}
	bad, different := 0, 0
	for _, name := range names {
		shown := name
		text, err := []byte(nil), error(nil)
		if name == "-" {
			shown = "<stdin>"
			text, err = io.ReadAll(cmd.InOrStdin())
		} else {
			text, err = files.Read(files.Disk, name)
		}
		if err != nil {
			return err
		}
		out, diags := parser.Format(text, shown)
		if n := printDiagnostics(cmd.ErrOrStderr(), diags, map[string][]byte{shown: text}); n > 0 {
			bad += n
			continue
		}
		switch {
		case check:
			if !bytes.Equal(text, out) {
				different++
				escape.Fprintf(cmd.OutOrStdout(), "%s\n", shown)
			}
		case write:
			if bytes.Equal(text, out) {
				continue
			}
			if err := cleanly(func(context.Context) error { return folder.ReplaceFile(name, out) }); err != nil {
				return err
			}
		default:
			stdout := cmd.OutOrStdout()
			if f, ok := fileOf(stdout); ok && terminal(f) {
				out = []byte(escape.Lines(string(out))) // to read; into a file, byte for byte
			}
			if _, err := stdout.Write(out); err != nil {
				return err
			}
		}
	}
	switch {
	case bad > 0:
		return exitError(exitTrouble)
	case different > 0:
		return exitError(exitNo)
	}
	return nil
}
