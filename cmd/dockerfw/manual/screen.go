package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// The size of a terminal. The last line is for the prompt.
const (
	columns = 80
	lines   = 24 - 1
)

// Screen is the help of a command that fits a terminal: its usage, its purpose, examples, and each
// option or subcommand in one line. Commands are listed in the order of order, which may be nil; those
// that it lacks come last, by name only.
func Screen(cmd *cobra.Command, order []*cobra.Command) string {
	foot := fmt.Sprintf("Details, more examples, exit codes: %s", detailsOf(cmd))
	head := []string{"Usage: " + cmd.UseLine(), cmd.Short + ".", ""}
	var body []string
	if cmd.HasAvailableSubCommands() {
		body = commandLines(cmd, order)
		foot = fmt.Sprintf("Options: %s COMMAND --help. Details: %s COMMAND.", cmd.CommandPath(), detailsOf(cmd))
	} else {
		all := optionsOf(cmd)
		if body = optionLines(all); len(head)+len(body)+4 > lines {
			body = shortened(all)
		}
	}
	room := lines - len(head) - len(body) - 2
	if len(body) > 0 {
		body = append([]string{""}, body...)
		room--
	}
	var examples []string
	for _, e := range examplesOf(cmd) {
		if line := exampleLine(e); line != "" && len(examples) < min(3, max(1, room)) {
			examples = append(examples, line)
		}
	}
	text := append(append(append(head, examples...), body...), "", foot)
	return strings.Join(text, "\n") + "\n"
}

// detailsOf is the command that prints [Text].
func detailsOf(cmd *cobra.Command) string {
	path := strings.Fields(cmd.CommandPath())
	return strings.Join(append([]string{path[0], "help"}, path[1:]...), " ")
}

// exampleLine is an example in one line, without its comment if that does not fit; "" if the command
// does not fit.
func exampleLine(e string) string {
	command, _, commented := strings.Cut(e, " #")
	switch {
	case len(e)+2 <= columns:
		return "  " + e
	case commented && len(command)+2 <= columns:
		return "  " + strings.TrimSpace(command)
	}
	return ""
}

// commandLines lists the subcommands.
func commandLines(cmd *cobra.Command, order []*cobra.Command) []string {
	var out, rest []string
	listed := map[string]bool{}
	for _, c := range order {
		out = append(out, fmt.Sprintf("  %-10s  %s", c.Name(), c.Short))
		listed[c.Name()] = true
	}
	for _, c := range cmd.Commands() {
		if !listed[c.Name()] && (c.IsAvailableCommand() || c.Name() == "help") {
			rest = append(rest, c.Name())
		}
	}
	if len(rest) > 0 {
		out = append(out, fmt.Sprintf("  %-10s  %s", "also", strings.Join(rest, ", ")))
	}
	return out
}

// optionLines has a line for each option.
func optionLines(options []option) []string {
	width := 0
	for _, o := range options {
		width = max(width, len(o.term()))
	}
	var out []string
	for _, o := range options {
		out = append(out, fmt.Sprintf("  %-*s  %s", width, o.term(), firstClause(o.usage, columns-width-4)))
	}
	return out
}

// shortened lists options that many commands have by name only.
func shortened(options []option) []string {
	var own []option
	var shared []string
	for _, o := range options {
		if o.shared {
			shared = append(shared, "--"+o.long)
		} else {
			own = append(own, o)
		}
	}
	out := optionLines(own)
	if len(shared) > 0 {
		out = append(out, "  "+strings.Join(shared, ", "))
	}
	return out
}

// firstClause is a description, or if it does not fit the longest part of it that ends before a
// semicolon, a colon or a parenthesis.
func firstClause(text string, width int) string {
	for {
		if len([]rune(text)) <= width {
			return text
		}
		at := max(strings.LastIndex(text, "; "), strings.LastIndex(text, ": "), strings.LastIndex(text, " ("))
		if at < 0 {
			return text
		}
		text = text[:at]
	}
}

// Text is all help of a command: its description, options and examples.
func Text(cmd *cobra.Command) string {
	var b strings.Builder
	for _, p := range paragraphs(description(cmd)) {
		if strings.HasPrefix(p, " ") {
			b.WriteString(p + "\n\n")
		} else {
			b.WriteString(wrap(p, "", columns) + "\n")
		}
	}
	fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	if options := optionsOf(cmd); len(options) > 0 {
		b.WriteString("\nOptions:\n")
		for _, o := range options {
			fmt.Fprintf(&b, "  %s\n%s", o.term(), wrap(o.usage, "        ", columns))
		}
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() || c.Name() == "help" {
				fmt.Fprintf(&b, "  %-10s  %s\n", c.Name(), c.Short)
			}
		}
	}
	b.WriteString("\nExamples:\n")
	for _, e := range examplesOf(cmd) {
		b.WriteString("  " + e + "\n")
	}
	return b.String()
}

// description is what a command does, in whole sentences.
func description(cmd *cobra.Command) string {
	if cmd.Long == "" {
		return cmd.Short + "."
	}
	return cmd.Long
}
