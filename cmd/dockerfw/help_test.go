package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/manual"
)

// eachCommand calls f for the program and all of its commands, those of commands too.
func eachCommand(f func(*cobra.Command)) {
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		f(cmd)
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(rootCommand())
}

// The screen is what --help prints: 80 columns, and 24 lines with the prompt.
func TestTheHelpOfEveryCommandFitsAScreen(t *testing.T) {
	seen := 0
	eachCommand(func(cmd *cobra.Command) {
		seen++
		var b strings.Builder
		cmd.Root().SetOut(&b)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		screen := b.String()
		if n := strings.Count(screen, "\n"); n > 23 {
			t.Errorf("%s: the help has %d lines:\n%s", cmd.CommandPath(), n, screen)
		}
		for line := range strings.Lines(screen) {
			if line = strings.TrimSuffix(line, "\n"); len([]rune(line)) > 80 {
				t.Errorf("%s: the help has a line of %d columns; begin the usage of the flag with a short clause and a semicolon:\n%s", cmd.CommandPath(), len([]rune(line)), line)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && f.Name != "version" && !strings.Contains(screen, "--"+f.Name) {
				t.Errorf("%s: the help does not list --%s:\n%s", cmd.CommandPath(), f.Name, screen)
			}
		})
		for _, c := range cmd.Commands() {
			if !c.Hidden && !strings.Contains(screen, c.Name()) {
				t.Errorf("%s: the help does not list %s", cmd.CommandPath(), c.Name())
			}
		}
	})
	if seen < 10 {
		t.Errorf("only %d commands", seen)
	}
}

func TestTheHelpOfEveryCommandHasAnExample(t *testing.T) {
	eachCommand(func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		if _, after, _ := strings.Cut(manual.Screen(cmd, nil), "\n\n"); !strings.HasPrefix(after, "  ") || !strings.Contains(after, "dockerfw "+strings.TrimPrefix(cmd.Name(), "dockerfw")) {
			t.Errorf("%s: no example fits the screen:\n%s", cmd.CommandPath(), manual.Screen(cmd, nil))
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: %q: write a sentence without a period", cmd.CommandPath(), cmd.Short)
		}
	})
}

// The command lines of examples have flags that exist.
func TestTheExamplesOfEveryCommandHaveItsFlags(t *testing.T) {
	eachCommand(func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(line, " #")
			_, line, found := strings.Cut(line, "dockerfw ")
			if !found {
				continue
			}
			words := strings.Fields(line)
			about, _, err := cmd.Root().Find(words)
			if err != nil {
				t.Errorf("%s: %s: %v", cmd.CommandPath(), line, err)
				continue
			}
			for _, w := range terraformFlags(words) {
				if name, long := strings.CutPrefix(w, "--"); long && about.Flags().Lookup(name) == nil && name != "help" {
					t.Errorf("%s: %s: no flag --%s", cmd.CommandPath(), line, name)
				}
			}
		}
	})
}

func TestWordsOfOtherToolsLeadToTheCommand(t *testing.T) {
	for word, want := range map[string]string{
		"plan": "diff", "preview": "diff", "validate": "check", "lint": "check", "up": "apply", "deploy": "apply", "load": "apply", "reload": "apply", "enable": "apply",
		"down": "remove", "uninstall": "remove", "disable": "remove", "flush": "remove", "show": "status", "list": "status", "ls": "status", "ps": "status",
		"undo": "rollback", "keep": "confirm", "trace": "explain", "format": "fmt", "build": "compile", "new": "init", "allow": "init", "drift": "verify", "man": "help",
	} {
		err := unknownCommand(rootCommand(), word)
		if !strings.Contains(err.Error(), `the command is "dockerfw `+want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", word, err, want)
		}
	}
}

func TestAWordOfAnotherToolLeadsToOneCommand(t *testing.T) {
	commands := rootCommand().Commands()
	owner := map[string]string{}
	for _, c := range commands {
		for _, word := range c.SuggestFor {
			if owner[word] != "" || slices.ContainsFunc(commands, func(c *cobra.Command) bool { return c.Name() == word }) {
				t.Errorf("%s: the word %q leads to another command too", c.Name(), word)
			}
			owner[word] = c.Name()
		}
	}
}
