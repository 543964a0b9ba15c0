package explain

import (
	"io"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// WriteText writes the answers for people: the verdict first, then why not another.
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

func (a *Answer) heading() string {
	if a.Path == snapshot.ToHost {
		return "If it reaches docker-proxy on the host (the container's network has no IPv6, or the client's address is link-local):"
	}
	return "If Docker forwards it to the container (the container's network has IPv6):"
}

func (a *Answer) write(b *strings.Builder) {
	line := func(format escape.Literal, args ...any) { escape.Fprintf(b, format+"\n", args...) }
	line("%s", a.Packet)
	for _, g := range a.Guesses {
		line("  assumed: %s", g)
	}
	for _, n := range a.Notes {
		line("  note: %s", n)
	}
	for _, c := range a.Cases {
		line("")
		if conditions := c.conditions(); conditions != "" {
			line("If %s:", conditions)
		}
		line("%s, by %s", a.verdict(c.Verdict), c.By)
		if c.By.Text != "" && c.By.Name != c.By.Text {
			line("    -A %s %s", c.By.Chain, c.By.Text)
		}
		if len(c.Passed) == 0 {
			continue
		}
		in := c.Passed[0].place()
		line("It passed, in chain %s:", in)
		for i, p := range c.Passed {
			if i > 0 && p.Rule.Name == c.Passed[i-1].Name && p.Why == c.Passed[i-1].Why && p.Why != "" {
				continue // one block's rules often say the same
			}
			what := p.what()
			if p.place() != in {
				in = p.place()
				line("  in chain %s:", in)
			}
			p.Table = "" // the line of the chain says it
			line("  %s: %s", p.Rule, what)
		}
	}
}

// place is the rule's chain, with its table if that is not the filter table.
func (r Rule) place() string {
	if r.Table == "" || r.Table == "filter" {
		return r.Chain
	}
	return r.Chain + " of table " + r.Table
}

// what says why a rule did not decide.
func (p Passed) what() string {
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
		return "matches, translates it"
	case p.Accepts:
		return "matches, accepts it, as far as this table goes"
	}
	return "matches, its target is not terminating"
}

// verdict is what becomes of a packet, in a sentence's beginning.
func (a *Answer) verdict(v packet.Verdict) string {
	if v.Kind == packet.Docker && a.Packet.Out == "" {
		return "Left to the host's own rules of INPUT"
	}
	if v.Kind == packet.Docker {
		return "Left to Docker's rules, which accept what is published"
	}
	text := v.String()
	return strings.ToUpper(text[:1]) + text[1:]
}

func (r Rule) String() string {
	name := r.Name
	if r.Table != "" && r.Table != "filter" && r.Text != "" {
		name += " of table " + r.Table
	}
	if strings.HasPrefix(r.Table, "nft ") && r.Text != "" {
		name += ", chain " + r.Chain
	}
	if r.Place != "" {
		return name + " (" + r.Place + ")"
	}
	return name
}

func (c Case) conditions() string {
	var parts []string
	for _, h := range c.Holds {
		parts = append(parts, "["+h+"] holds")
	}
	for _, f := range c.Fails {
		parts = append(parts, "["+f+"] does not hold")
	}
	return strings.Join(parts, " and ")
}

// The JSON of an answer. Names and meanings stay; more may be added.
type (
	jsonAnswer struct {
		// Path is "forwarded" or "docker-proxy".
		Path    string     `json:"path"`
		Packet  string     `json:"packet"`
		Assumed []string   `json:"assumed"`
		Notes   []string   `json:"notes"`
		Cases   []jsonCase `json:"cases"`
		// OtherPaths are the answers on other paths that the packet may take.
		OtherPaths []*jsonAnswer `json:"other_paths,omitempty"`
	}
	jsonCase struct {
		Holds   []string     `json:"holds,omitempty"`
		Fails   []string     `json:"fails,omitempty"`
		Verdict string       `json:"verdict"`
		By      jsonRule     `json:"by"`
		Passed  []jsonPassed `json:"passed"`
	}
	jsonRule struct {
		Name  string `json:"name"`
		Table string `json:"table,omitempty"`
		Chain string `json:"chain,omitempty"`
		Text  string `json:"text,omitempty"`
		Place string `json:"place,omitempty"`
	}
	jsonPassed struct {
		jsonRule
		Why     string `json:"why,omitempty"`
		To      string `json:"to,omitempty"`
		Returns bool   `json:"returns,omitempty"`
		Does    string `json:"does,omitempty"`
	}
)

// WriteJSON writes the answers for programs.
func WriteJSON(w io.Writer, answers []*Answer) error {
	out := answers[0].json()
	for _, a := range answers[1:] {
		out.OtherPaths = append(out.OtherPaths, a.json())
	}
	return escape.JSON(w, out)
}

func (a *Answer) json() *jsonAnswer {
	out := &jsonAnswer{
		Path: [...]string{"forwarded", "docker-proxy"}[a.Path], Packet: a.Packet.String(),
		Assumed: append([]string{}, a.Guesses...), Notes: append([]string{}, a.Notes...),
	}
	for _, c := range a.Cases {
		one := jsonCase{Holds: c.Holds, Fails: c.Fails, Verdict: c.Verdict.String(), By: c.By.json(), Passed: []jsonPassed{}}
		for _, p := range c.Passed {
			one.Passed = append(one.Passed, jsonPassed{p.Rule.json(), p.Why, p.To, p.Returns, p.Does})
		}
		out.Cases = append(out.Cases, one)
	}
	return out
}

func (r Rule) json() jsonRule { return jsonRule(r) }
