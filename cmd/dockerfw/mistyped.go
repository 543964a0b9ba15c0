package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// unknownCommand is the error about a command that does not exist, with the one that was probably
// meant: by the word that another tool has for it, by its beginning, or by its letters.
func unknownCommand(root *cobra.Command, name string) error {
	problem := fmt.Sprintf("unknown command %q", name)
	var names, begin, synonyms []string
	meant := map[string]*cobra.Command{}
	for _, c := range root.Commands() {
		if c.Hidden {
			continue
		}
		if slices.ContainsFunc(c.SuggestFor, func(word string) bool { return strings.EqualFold(word, name) }) {
			return usageError(root, fmt.Sprintf("%s; the command is \"%s %s\": %s", problem, root.Name(), c.Use, c.Short))
		}
		for _, word := range c.SuggestFor {
			synonyms, meant[word] = append(synonyms, word), c
		}
		names = append(names, c.Name())
		if name != "" && strings.HasPrefix(c.Name(), strings.ToLower(name)) {
			begin = append(begin, c.Name())
		}
	}
	if near := append(suggest.Nearest(name, names), begin...); len(near) > 0 {
		problem += fmt.Sprintf("; did you mean %q?", near[0])
	} else if near := suggest.Nearest(name, synonyms); len(near) > 0 {
		c := meant[near[0]]
		problem += fmt.Sprintf("; %s is \"%s %s\": %s", near[0], root.Name(), c.Use, c.Short)
	}
	return usageError(root, problem)
}

// unknownFlag is the error about a flag that a command does not have, with the one that was probably
// meant, or the commands that have it.
func unknownFlag(cmd *cobra.Command, missing *pflag.NotExistError) error {
	name := missing.GetSpecifiedName()
	problem := "unknown flag: --" + name
	if group := missing.GetSpecifiedShortnames(); group != "" {
		problem = "unknown flag: -" + group
		name, _, _ = strings.Cut(group, "=")
	}
	names := flagNames(cmd)
	var longer []string // --to-port for --port
	for _, n := range names {
		if strings.HasSuffix(n, "-"+name) {
			longer = append(longer, "--"+n)
		}
	}
	if len(longer) > 0 {
		return usageError(cmd, fmt.Sprintf("%s; did you mean %s?", problem, words.Or(longer)))
	}
	if near := suggest.Nearest(name, names); len(near) > 0 {
		return usageError(cmd, fmt.Sprintf("%s; did you mean --%s?", problem, near[0]))
	}
	var others []string
	for _, c := range cmd.Root().Commands() {
		if c != cmd && !c.Hidden && slices.Contains(flagNames(c), name) {
			others = append(others, c.Name())
		}
	}
	if len(others) > 0 {
		problem += fmt.Sprintf("; %s has none, but %s", cmd.CommandPath(), strings.Join(others, ", "))
	}
	return usageError(cmd, problem)
}

// flagNames are the names of the flags of a command, apart from hidden ones.
func flagNames(cmd *cobra.Command) []string {
	var out []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			out = append(out, f.Name)
		}
	})
	return out
}

// usageError is an error in a command line; printError adds where to read on.
func usageError(cmd *cobra.Command, problem string) error {
	return &usageProblem{problem, cmd.CommandPath()}
}

type usageProblem struct{ problem, command string }

func (u *usageProblem) Error() string { return u.problem }

// flagError is the error of a bad flag. For booleans, choices and unknown flags it replaces pflag's
// text, which quotes Go's parsers.
func flagError(cmd *cobra.Command, err error) error {
	if missing := (*pflag.NotExistError)(nil); errors.As(err, &missing) {
		return unknownFlag(cmd, missing)
	}
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		switch name := invalid.GetFlag().Name; invalid.GetFlag().Value.Type() {
		case "bool":
			return usageError(cmd, fmt.Sprintf("--%s=%s: write --%[1]s, or --%[1]s=false", name, invalid.GetValue()))
		case "int":
			return usageError(cmd, fmt.Sprintf("--%s %s: write a number", name, invalid.GetValue()))
		case formatType:
			return usageError(cmd, invalid.Unwrap().Error())
		}
	}
	return usageError(cmd, err.Error())
}
