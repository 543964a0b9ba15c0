// Command dockerfw compiles firewall policies for Docker hosts.
//
// In: arguments, environment variables and files. Out: text on standard output, errors on
// standard error, and an exit code. Each command is one file: its flags, one call of the
// package that does the work, and the output. root.go lists the commands; flags.go has the
// flags that they share. It does not know what policies mean.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	_ "github.com/dockerfw/dockerfw/cmd/dockerfw/environment"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Exit codes.
const (
	exitYes     = 0
	exitNo      = 1 // a difference, or a check that failed
	exitTrouble = 2 // the command could not do its work
)

func main() {
	collectByUse()
	os.Exit(run(os.Args[1:]))
}

// exitError is the exit code of a command that has already printed what is wrong.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// exitUnless ends a command with exitNo unless what it checked is so.
func exitUnless(ok bool) error {
	if ok {
		return nil
	}
	return exitError(exitNo)
}

func run(args []string) (code int) {
	// A panic becomes one line that a user can report, not a stack trace. Go cannot recover
	// from stack overflow or exhausted memory: the budgets of the compiler prevent them.
	defer func() {
		if r := recover(); r != nil {
			escape.Fprintf(os.Stderr, "dockerfw: internal error: %v; please report it\n", r)
			code = exitTrouble
		}
	}()
	root := rootCommand()
	root.SetArgs(terraformFlags(args))
	stdout, stderr := &output{file: os.Stdout}, &output{file: os.Stderr}
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	var exit exitError
	switch {
	case stdout.err != nil:
		err = stdout.err
	case stderr.err != nil:
		return exitTrouble
	case err == nil:
		return exitYes
	case errors.As(err, &exit):
		return int(exit)
	}
	printError(root.ErrOrStderr(), err)
	var usage *usageProblem
	if errors.As(err, &usage) && wantsJSON(args) {
		writeUsageReport(root.OutOrStdout(), usage)
	}
	return exitTrouble
}

// printError writes an error. Lines after the first get a prefix, so that no line begins
// with text from outside, such as the name of a file with a newline in it.
func printError(w io.Writer, err error) {
	var usage *usageProblem
	text := err.Error()
	if errors.As(err, &usage) {
		defer escape.Fprintf(w, "See: %s --help\n", usage.command)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		// Without the name of the system call: "policy.hcl: no such file or directory".
		text = strings.Replace(text, path.Op+" "+path.Path, path.Path, 1)
		text = strings.ReplaceAll(text, path.Path, string(escape.Terminal(path.Path)))
	}
	for i, line := range strings.Split(text, "\n") {
		if i == 0 {
			escape.Fprintf(w, "dockerfw: %s\n", line)
		} else {
			escape.Fprintf(w, "  | %s\n", line)
		}
	}
}
