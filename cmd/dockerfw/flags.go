package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/manual"
	"github.com/dockerfw/dockerfw/parser"
)

// terraformFlags accepts -var and -var-file with one dash, as Terraform's users write them.
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
	noFold       bool
	hosts        []string
	now          string
}

func (f *policyFlags) add(cmd *cobra.Command) {
	cmd.Flags().Var(inputFlag{&f.inputs, false}, "var", "set a variable of the policy: `name=value`; may be repeated")
	cmd.Flags().Var(inputFlag{&f.inputs, true}, "var-file", "set variables from a `file`; may be repeated, later ones win")
	cmd.Flags().BoolVar(&f.allowOutside, "allow-outside", false, "allow the policy to read files outside its directory")
	cmd.Flags().BoolVar(&f.noFold, "no-fold", false, "emit each rule alone; rules that are many are not merged")
	cmd.Flags().StringArrayVar(&f.hosts, "host", nil, "use only the host with this `label`; may be repeated")
	cmd.Flags().StringVar(&f.now, "now", "", "the `date` to compare expires with, such as 2027-01-31 (default today)")
	for _, name := range []string{"var", "var-file", "allow-outside", "no-fold", "host", "now"} {
		manual.Share(cmd.Flags().Lookup(name))
	}
}

func (f *policyFlags) options() (driver.Options, error) {
	now := time.Now()
	if f.now != "" {
		var err error
		if now, err = time.Parse(time.DateOnly, f.now); err != nil {
			return driver.Options{}, fmt.Errorf("--now %s: write a date such as 2027-01-31", f.now)
		}
	}
	opts := driver.Options{
		Inputs:       parser.Inputs{Command: f.inputs, Environment: os.Environ()},
		AllowOutside: f.allowOutside,
		Hosts:        f.hosts,
		Now:          now,
		Progress:     showProgress(),
	}
	opts.Fold.NoFold = f.noFold
	return opts, nil
}

// words are the flags as they have to be typed, for messages that propose a command.
func (f *policyFlags) words() []string {
	var out []string
	for _, in := range f.inputs {
		if in.Name == "" {
			out = append(out, "-var-file", in.File)
		} else {
			out = append(out, "-var", in.Name+"="+in.Value)
		}
	}
	if f.allowOutside {
		out = append(out, "--allow-outside")
	}
	if f.noFold {
		out = append(out, "--no-fold")
	}
	for _, h := range f.hosts {
		out = append(out, "--host", h)
	}
	if f.now != "" {
		out = append(out, "--now", f.now)
	}
	return out
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

// portFlag is a port; 0 until it is set.
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

// outputFormat is one of the forms in which a command writes its result.
type outputFormat[W any] struct {
	name  string
	write W
}

// formatFlag is the flag --format: the forms that a command has, the first by default.
type formatFlag[W any] struct {
	formats []outputFormat[W]
	chosen  int
}

func newFormatFlag[W any](cmd *cobra.Command, formats ...outputFormat[W]) *formatFlag[W] {
	f := &formatFlag[W]{formats: formats}
	cmd.Flags().Var(f, "format", "the output format: "+f.names())
	return f
}

// formatType marks the flag for flagError.
const formatType = "format"

func (f *formatFlag[W]) Type() string { return formatType }

func (f *formatFlag[W]) String() string { return f.formats[f.chosen].name }

// write is the function of the chosen format.
func (f *formatFlag[W]) write() W { return f.formats[f.chosen].write }

func (f *formatFlag[W]) Set(s string) error {
	for i, one := range f.formats {
		if one.name == s {
			f.chosen = i
			return nil
		}
	}
	return fmt.Errorf("unknown format %q: %s", s, f.names())
}

// names lists the formats: text, json or junit.
func (f *formatFlag[W]) names() string {
	var names []string
	for _, one := range f.formats {
		names = append(names, one.name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
