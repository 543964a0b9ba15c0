// Command dockerfw compiles firewall policies for Docker hosts.
package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Exit codes.
const (
	exitYes     = 0
	exitNo      = 1 // a difference found, or the thing checked does not hold
	exitTrouble = 2 // the question could not be answered
)

func main() {
	// One short run: less collecting saves a fifth of the time, for memory that goes
	// back at the end. Sets of a million prefixes need 2 GB; with 400 it was twice that.
	debug.SetGCPercent(200)
	os.Exit(run(os.Args[1:]))
}

// exitError carries an exit code out of a command that has said what is wrong.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func run(args []string) (code int) {
	// The last resort: one line that can be reported, not a trace. A stack that
	// overflows and memory that runs out cannot be recovered; budgets prevent them.
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
	return exitTrouble
}

// printError writes an error. Its lines after the first have a sign before them, so that
// none begins with text of others, such as the name of a file with a newline.
func printError(w io.Writer, err error) {
	var usage *usageProblem
	text := err.Error()
	if errors.As(err, &usage) {
		defer escape.Fprintf(w, "See: %s --help\n", usage.command)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
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

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dockerfw",
		Short: "Say who may reach what your Docker host publishes",
		Long: `dockerfw compiles a policy, written in HCL, into files for ipset restore and
iptables-restore that let exactly those reach your containers whom the policy names.`,
		Example: `  dockerfw compile policy.hcl -o compiled
  dockerfw check policy.hcl`,
		Version:       driver.Version + revision(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("dockerfw {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(initCommand(), compileCommand(), checkCommand(), testCommand(), diffCommand(), explainCommand(), verifyCommand(), fmtCommand(), versionCommand())
	refuseUnknown(root)
	return root
}

// refuseUnknown makes help and completion, which cobra brings, end with an error
// when they are asked for what is not there.
func refuseUnknown(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, args []string) error {
				about, rest, err := root.Find(args)
				if err != nil || len(rest) > 0 {
					return unknownCommand(root, strings.Join(args, " "))
				}
				return about.Help()
			}
		case "completion":
			cmd.Args = func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return unknownCommand(cmd, args[0])
				}
				return nil
			}
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			for _, shell := range cmd.Commands() {
				shell.Args = noArguments
			}
		}
	}
}

func unknownCommand(cmd *cobra.Command, name string) error {
	problem := fmt.Sprintf("unknown command %q", name)
	cmd.SuggestionsMinimumDistance = 1
	if len(name) > 4 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		problem += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return usageError(cmd, problem)
}

// usageError says what is wrong with a command line, and where to read on.
func usageError(cmd *cobra.Command, problem string) error {
	return &usageProblem{problem, cmd.CommandPath()}
}

type usageProblem struct{ problem, command string }

func (u *usageProblem) Error() string { return u.problem }

// flagError says what is wrong with a flag, without the words of Go's own parsers.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "bool" {
		return usageError(cmd, fmt.Sprintf("--%s=%s: write --%[1]s, or --%[1]s=false", invalid.GetFlag().Name, invalid.GetValue()))
	}
	return usageError(cmd, err.Error())
}

// noArguments makes sure that a command is given none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError(cmd, fmt.Sprintf("%s takes no arguments, and %q is one", cmd.CommandPath(), args[0]))
}

// onePolicy makes sure that a command is given one policy.
func onePolicy(cmd *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return usageError(cmd, "no policy: name a file or a directory")
	case 1:
		return nil
	}
	return usageError(cmd, fmt.Sprintf("one policy at a time, not %d: put the files of a policy into a directory, and name that", len(args)))
}

// terraformFlags lets -var and -var-file be written with one dash, as Terraform's
// users do.
func terraformFlags(args []string) []string {
	out := make([]string, 0, len(args))
	for i, a := range args {
		if a == "--" {
			return append(out, args[i:]...)
		}
		for _, name := range []string{"-var", "-var-file"} {
			if a == name || strings.HasPrefix(a, name+"=") {
				a = "-" + a
				break
			}
		}
		out = append(out, a)
	}
	return out
}

// policyFlags are the flags of all commands that read a policy.
type policyFlags struct {
	inputs       []parser.Input
	allowOutside bool
	hosts        []string
	now          string
}

func (f *policyFlags) add(cmd *cobra.Command) {
	cmd.Flags().Var(inputFlag{&f.inputs, false}, "var", "set a variable of the policy: `name=value`; may be repeated")
	cmd.Flags().Var(inputFlag{&f.inputs, true}, "var-file", "set variables from a `file`; may be repeated, later ones win")
	cmd.Flags().BoolVar(&f.allowOutside, "allow-outside", false, "let the policy name files outside its directory")
	cmd.Flags().StringArrayVar(&f.hosts, "host", nil, "compile only the host with this `label`; may be repeated")
	cmd.Flags().StringVar(&f.now, "now", "", "the `date` that expires is compared with, such as 2027-01-31 (default today)")
}

func (f *policyFlags) options() (driver.Options, error) {
	now := time.Now()
	if f.now != "" {
		var err error
		if now, err = time.Parse(time.DateOnly, f.now); err != nil {
			return driver.Options{}, fmt.Errorf("--now %s: write a date such as 2027-01-31", f.now)
		}
	}
	return driver.Options{
		Inputs:       parser.Inputs{Command: f.inputs, Environment: os.Environ()},
		AllowOutside: f.allowOutside,
		Hosts:        f.hosts,
		Now:          now,
	}, nil
}

// inputFlag collects -var and -var-file in the order they were given.
type inputFlag struct {
	inputs *[]parser.Input
	file   bool
}

func (inputFlag) String() string { return "" }

func (f inputFlag) Type() string { return "string" }

func (f inputFlag) Set(s string) error {
	if f.file {
		*f.inputs = append(*f.inputs, parser.Input{File: s})
		return nil
	}
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("write name=value")
	}
	*f.inputs = append(*f.inputs, parser.Input{Name: name, Value: value})
	return nil
}

// portFlag is a port; 0 until it is given.
type portFlag struct{ port *uint16 }

func (portFlag) String() string { return "" }

func (portFlag) Type() string { return "port" }

func (f portFlag) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return errors.New("a port is a number from 1 to 65535")
	}
	*f.port = uint16(n)
	return nil
}

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
	errorCount := 0
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			errorCount++
		}
	}
	return errorCount
}

// completePolicies offers files that may be policies.
func completePolicies(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"hcl", "json"}, cobra.ShellCompDirectiveFilterFileExt
}

func terminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
