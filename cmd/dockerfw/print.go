package main

import (
	"io"
	"os"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/term"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// printDiagnostics writes diags to w and returns how many of them are errors.
func printDiagnostics(w io.Writer, diags hcl.Diagnostics, sources map[string][]byte) int {
	printer := diag.Printer{Sources: sources}
	if f, ok := fileOf(w); ok && terminal(f) {
		printer.Color = os.Getenv("NO_COLOR") == ""
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			printer.Width = min(width, 120)
		}
	}
	if err := printer.Write(w, diags); err != nil {
		return len(diags)
	}
	return countLevels(diags)["error"]
}

// countLevels counts diagnostics by level: error, warning, note.
func countLevels(diags hcl.Diagnostics) map[string]int {
	out := map[string]int{}
	for _, d := range diags {
		out[diag.Level(d)]++
	}
	return out
}

// output is standard output or standard error. It remembers a failed write: a report that
// is cut off, by a full disk for example, must not end with the exit code of a whole one.
type output struct {
	file *os.File
	err  error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// fileOf returns the file that w writes to, which may be a terminal.
func fileOf(w io.Writer) (*os.File, bool) {
	switch w := w.(type) {
	case *output:
		return w.file, true
	case *os.File:
		return w, true
	}
	return nil, false
}

func terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
