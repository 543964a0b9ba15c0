package explain

import (
	"fmt"
	"io"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Formats are those of Write.
var Formats = []string{"text", "json"}

// Write writes answers in one of the Formats.
func Write(w io.Writer, format string, answers []*Answer) error {
	if format == "json" {
		return WriteJSON(w, answers)
	}
	return WriteText(w, answers)
}

// WriteText writes answers for people: the verdict first, then the reason.
func WriteText(w io.Writer, answers []*Answer) error {
	var b strings.Builder
	for i, a := range answers {
		if i > 0 {
			b.WriteString("\n")
		}
		if len(answers) > 1 && !a.Conditional {
			escape.Fprintf(&b, "%s\n", a.heading())
		}
		a.write(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// heading tells apart the two paths of an IPv6 packet to a published port.
func (a *Answer) heading() string {
	if a.Path == snapshot.ToHost {
		return "If it reaches docker-proxy on the host (the container's network has no IPv6, or the client's address is link-local):"
	}
	return "If Docker forwards it to the container (the container's network has IPv6):"
}

func (a *Answer) write(b *strings.Builder) {
	line := func(format escape.Literal, args ...any) { escape.Fprintf(b, format+"\n", args...) }
	line("%s", a.Packet)
	for _, s := range a.Assumed {
		line("  assumed: %s", s)
	}
	for _, n := range a.Notes {
		line("  note: %s", n)
	}
	for _, f := range a.Facts {
		line("  %s: %s", f.Heading(), f.Text)
	}
	for _, c := range a.Cases {
		line("")
		if conditions := a.conditions(c); conditions != "" {
			line("If %s:", conditions)
		}
		line("%s", a.sentence(c))
		if c.By.Text != "" && c.By.Name != c.By.Text {
			line("    %s", c.By.listed())
		}
		c.writePassed(line)
	}
}

func (c Case) writePassed(line func(escape.Literal, ...any)) {
	if len(c.Passed) == 0 {
		return
	}
	in := c.Passed[0].chain()
	line("Rules checked before, in %s:", in)
	for i, p := range c.Passed {
		if i > 0 && p.Name == c.Passed[i-1].Name && p.Why == c.Passed[i-1].Why && p.Why != "" {
			continue // another rule of the same block, with the same reason
		}
		result := p.result()
		if p.chain() != in {
			in = p.chain()
			line("  in %s:", in)
		}
		p.Table = "" // it is in the line of the chain
		line("  %s: %s", p.Rule, result)
	}
}

// sentence is the verdict with the rule that gave it.
func (a *Answer) sentence(c Case) string {
	if c.Verdict.Kind == packet.Docker {
		return a.leftOpen(c.By)
	}
	if c.Verdict == undecided {
		return "No single verdict: it depends on too many conditions"
	}
	text := map[packet.Kind]string{packet.Accept: "Accepted", packet.Drop: "Dropped", packet.Reject: "Rejected", packet.Other: "Sent to"}[c.Verdict.Kind]
	switch {
	case c.Verdict.Kind == packet.Other:
		text += " target " + c.Verdict.With
	case c.Verdict.With != "":
		text += " with " + c.Verdict.With
	}
	switch {
	case c.By.Name == noRule:
		return text + ": no rule matched"
	case c.By.Text == "":
		return text + " by " + c.By.String()
	}
	return text + " by " + c.By.deciding()
}

// leftOpen is the sentence for packets without a verdict of the rules in question.
func (a *Answer) leftOpen(by Rule) string {
	next := "Docker's own rules decide (they accept published ports)"
	left := "Docker's own rules (they accept published ports)"
	switch {
	case a.Path == snapshot.ToHost:
		next, left = "the host's own INPUT rules decide", "the host's own INPUT rules"
	case a.ofHost:
		next, left = "the rules after it decide", "the rules after chain "+by.Chain
	}
	switch {
	case by.Name != noRule:
		return "Left to " + left + " by " + by.deciding()
	case a.ofHost:
		return "No rule of chain " + by.Chain + " matched: " + next
	}
	return "No dockerfw rule matched: " + next
}

// chain is the rule's chain, with its table if that is not the filter table.
func (r Rule) chain() string {
	if r.Table == "" || r.Table == "filter" {
		return "chain " + r.Chain
	}
	return "chain " + r.Chain + " of table " + r.Table
}

// listed is the rule as its tool lists it, with its chain.
func (r Rule) listed() string {
	if r.ofTable() {
		return "chain " + r.Chain + ": " + r.Text
	}
	return "-A " + r.Chain + " " + r.Text
}

// ofTable reports whether the rule is in a table of nft.
func (r Rule) ofTable() bool { return strings.HasPrefix(r.Table, "nft ") }

// result is what a rule that gave no verdict did.
func (p Passed) result() string {
	switch {
	case p.Why != "":
		return p.Why
	case p.To != "":
		return "matches, jumps to chain " + p.To
	case p.Returns:
		return "matches, returns from the chain"
	case p.Does != "":
		return "matches, " + p.Does
	case p.Table == "nat" || p.Translates:
		return "matches, translates the destination"
	case p.Accepts:
		return "matches, accepts the packet in this table"
	}
	return "matches, its target is not terminating"
}

// deciding is the rule in a sentence about the verdict.
func (r Rule) deciding() string {
	if r.MissingIn != "" {
		return fmt.Sprintf("the implicit %s rule (%s has no %[1]s block)", r.Name, r.MissingIn)
	}
	return "rule " + r.String()
}

func (r Rule) String() string {
	name := r.Name
	ofPolicy := r.ofTable() && r.Name != r.Text
	if r.Table != "" && r.Table != "filter" && r.Text != "" && !ofPolicy {
		name += " of table " + r.Table
	}
	if r.ofTable() && r.Text != "" && !ofPolicy {
		name += ", chain " + r.Chain
	}
	if r.MissingIn != "" {
		return name + " (implicit)"
	}
	if r.Place != "" {
		return name + " (" + r.Place + ")"
	}
	return name
}

func (a *Answer) conditions(c Case) string {
	var parts []string
	for _, h := range c.Holds {
		parts = append(parts, a.condition(h, true))
	}
	for _, f := range c.Fails {
		parts = append(parts, a.condition(f, false))
	}
	return strings.Join(parts, " and ")
}
