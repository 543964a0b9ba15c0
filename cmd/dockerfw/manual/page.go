package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Edition is what the foot of a manual page shows.
type Edition struct {
	Version string
	// Date is that of the commit, such as 2026-03-04; "" if it is not known.
	Date string
}

// Pages are the manual pages of a program and its commands, by the names of their files.
func Pages(root *cobra.Command, e Edition) map[string]string {
	out := map[string]string{pageName(root) + ".1": page(root, e)}
	for _, c := range documented(root) {
		out[pageName(c)+".1"] = page(c, e)
	}
	return out
}

// documented are the commands that have help, by name.
func documented(root *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			out = append(out, c)
		}
	}
	return out
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page is a manual page in the macros of man(7).
func page(cmd *cobra.Command, e Edition) string {
	var b strings.Builder
	root := cmd.Root()
	fmt.Fprintf(&b, ".TH \"%s\" \"1\" \"%s\" \"%s %s\" \"User Commands\"\n", roff(strings.ToUpper(pageName(cmd))), e.Date, root.Name(), roff(e.Version))
	b.WriteString(".nh\n.ad l\n") // no hyphens in names of options
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(pageName(cmd)), roff(strings.ToLower(cmd.Short[:1])+cmd.Short[1:]))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(cmd.CommandPath()))
	if rest := strings.TrimSpace(strings.TrimPrefix(cmd.UseLine(), cmd.CommandPath())); cmd == root {
		b.WriteString("COMMAND\n")
	} else if rest != "" {
		b.WriteString(roff(rest) + "\n")
	}
	var about, codes []string
	for _, p := range paragraphs(description(cmd)) {
		if strings.HasPrefix(p, "The exit code ") {
			codes = append(codes, p)
		} else {
			about = append(about, p)
		}
	}
	section(&b, "DESCRIPTION", about)
	if cmd == root {
		b.WriteString(".SH COMMANDS\n")
		for _, c := range documented(root) {
			fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s.\n", roff(pageName(c)), roff(c.Short))
		}
	}
	if options := optionsOf(cmd); len(options) > 0 {
		b.WriteString(".SH OPTIONS\n")
		for _, o := range options {
			fmt.Fprintf(&b, ".TP\n%s\n%s\n", optionTag(o), roff(o.usage))
		}
	}
	if len(codes) > 0 {
		section(&b, "EXIT STATUS", codes)
	}
	b.WriteString(".SH EXAMPLES\n")
	example(&b, examplesOf(cmd))
	b.WriteString(".SH SEE ALSO\n")
	if cmd != root {
		fmt.Fprintf(&b, ".BR %s (1),\n", roff(root.Name()))
	}
	b.WriteString(".BR iptables (8),\n.BR ipset (8)\n")
	return b.String()
}

// optionTag is an option with its name in bold and its argument in italics.
func optionTag(o option) string {
	out := `\fB` + roff("--"+o.long) + `\fR`
	if o.short != "" {
		out = `\fB` + roff("-"+o.short) + `\fR, ` + out
	}
	if o.argument != "" {
		out += ` \fI` + roff(o.argument) + `\fR`
	}
	return out
}

// section writes paragraphs. One that is indented keeps its lines.
func section(b *strings.Builder, name string, paragraphs []string) {
	fmt.Fprintf(b, ".SH %s\n", name)
	for i, p := range paragraphs {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(p, " ") {
			example(b, strings.Split(p, "\n"))
		} else {
			b.WriteString(roff(p) + "\n")
		}
	}
}

// example writes lines as they are.
func example(b *strings.Builder, lines []string) {
	b.WriteString(".RS 4\n.nf\n")
	for _, line := range lines {
		b.WriteString(roff(strings.TrimSpace(line)) + "\n")
	}
	b.WriteString(".fi\n.RE\n")
}

// roff is text in which roff finds no request, and no character that a terminal shows as another one.
func roff(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case i == 0 && (r == '.' || r == '\''):
			b.WriteString(`\&` + string(r))
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '"':
			b.WriteString(`\(dq`)
		case r == '`':
			b.WriteString("\\`")
		case r == '^':
			b.WriteString(`\(ha`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r == '\n':
			b.WriteByte(' ')
		case r < ' ' || r == 0x7f:
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
