package main

import (
	"io"
	"os"
)

// output is standard output or standard error. It remembers that something could
// not be written: a report that is cut off, by a full disk for example, must not
// end with the exit code of one that was read.
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

// fileOf returns the file that w writes to, to ask whether it is a terminal.
func fileOf(w io.Writer) (*os.File, bool) {
	switch w := w.(type) {
	case *output:
		return w.file, true
	case *os.File:
		return w, true
	}
	return nil, false
}
