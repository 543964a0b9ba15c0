package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// sharedFlag marks a flag that many commands have, such as --var.
const sharedFlag = "dockerfw_shared"

// Share marks a flag that many commands have. A screen without room for its description lists its
// name only.
func Share(f *pflag.Flag) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[sharedFlag] = []string{"true"}
}

// option is a flag as help describes it.
type option struct {
	short, long string // such as o and output
	argument    string // such as FOLDER; "" for a flag without one
	usage       string // with the default value
	shared      bool
}

// optionsOf are the flags of a command, apart from --help and hidden ones, by name.
func optionsOf(cmd *cobra.Command) []option {
	var out []option
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		argument, usage := pflag.UnquoteUsage(f)
		if value := f.DefValue; value != "" && value != "0" && value != "false" && value != "[]" && !strings.Contains(usage, "(default") {
			usage += fmt.Sprintf(" (default %s)", value)
		}
		out = append(out, option{f.Shorthand, f.Name, strings.ToUpper(argument), usage, f.Annotations[sharedFlag] != nil})
	})
	return out
}

// term is an option as it is typed: -o, --output FOLDER.
func (o option) term() string {
	out := "--" + o.long
	if o.short != "" {
		out = "-" + o.short + ", " + out
	}
	if o.argument != "" {
		out += " " + o.argument
	}
	return out
}

// examplesOf are the examples of a command, one in each line. Their comments begin with "#".
func examplesOf(cmd *cobra.Command) []string {
	var out []string
	for line := range strings.Lines(cmd.Example) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// paragraphs are those of a text, each in one line. One whose lines are indented is kept as it is.
func paragraphs(text string) []string {
	var out []string
	for _, p := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if !strings.HasPrefix(p, " ") {
			p = strings.Join(strings.Fields(p), " ")
		}
		out = append(out, p)
	}
	return out
}

// wrap breaks a text at blanks, in lines of at most width columns after the indentation.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String() + "\n"
}
