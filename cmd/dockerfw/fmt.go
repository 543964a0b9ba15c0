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
		Use:        "fmt [FILE | DIRECTORY | -]...",
		Short:      "Rewrite policies in the canonical style",
		SuggestFor: []string{"format", "tidy"},
		Long: `fmt prints policies in the canonical style of HCL. In a directory it formats the *.hcl
files; JSON policies stay as they are. Without arguments, or for -, it formats standard
input.`,
		Example: `  dockerfw fmt -w policy.hcl
  dockerfw fmt --check policy/     # in CI
  dockerfw fmt < policy.hcl`,
		ValidArgsFunction: completePolicies,
		RunE: func(cmd *cobra.Command, args []string) error {
			if write && check {
				return usageError(cmd, "--write and --check exclude each other: one writes files, the other only lists them")
			}
			names, err := formattableNames(args, write)
			if err != nil {
				return err
			}
			handle := printFormatted
			switch {
			case check:
				handle = listUnformatted
			case write:
				handle = writeFormatted
			}
			valid, same := true, true
			for _, name := range names {
				text, shown, err := readPolicy(name, cmd.InOrStdin())
				if err != nil {
					return err
				}
				formatted, diags := parser.Format(text, shown)
				if printDiagnostics(cmd.ErrOrStderr(), diags, map[string][]byte{shown: text}) > 0 {
					valid = false
					continue
				}
				changed := !bytes.Equal(text, formatted)
				same = same && !changed
				if err := handle(cmd.OutOrStdout(), shown, formatted, changed); err != nil {
					return err
				}
			}
			if !valid {
				return exitError(exitTrouble)
			}
			return exitUnless(same || !check)
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the result to the file instead of standard output")
	cmd.Flags().BoolVar(&check, "check", false, "list files that differ; write nothing, and exit with 1 if there are any")
	return cmd
}

// stdinName stands for standard input among the names of files.
const stdinName = "-"

// formattableNames are the files that arguments refer to.
func formattableNames(args []string, write bool) ([]string, error) {
	if len(args) == 0 {
		args = []string{stdinName}
	}
	var names []string
	for _, arg := range args {
		switch {
		case arg == stdinName && write:
			return nil, errors.New("fmt -w needs files: standard input cannot be written to")
		case arg == stdinName:
			names = append(names, arg)
		default:
			found, err := parser.FormattableFiles(arg)
			if err != nil {
				return nil, err
			}
			names = append(names, found...)
		}
	}
	return names, nil
}

// readPolicy returns a text and the name that messages show.
func readPolicy(name string, stdin io.Reader) (text []byte, shown string, err error) {
	if name == stdinName {
		text, err = io.ReadAll(stdin)
		return text, "<stdin>", err
	}
	text, err = files.Read(files.Disk, name)
	return text, name, err
}

func listUnformatted(stdout io.Writer, name string, _ []byte, changed bool) error {
	if !changed {
		return nil
	}
	return escape.Fprintf(stdout, "%s\n", name)
}

func writeFormatted(_ io.Writer, name string, formatted []byte, changed bool) error {
	if !changed {
		return nil
	}
	return cleanly(func(context.Context) error { return folder.ReplaceFile(name, formatted) })
}

// printFormatted writes byte for byte into files and pipes; control characters of comments
// are escaped on a terminal only.
func printFormatted(stdout io.Writer, _ string, formatted []byte, _ bool) error {
	if f, ok := fileOf(stdout); ok && terminal(f) {
		formatted = []byte(escape.Lines(string(formatted)))
	}
	_, err := stdout.Write(formatted)
	return err
}
