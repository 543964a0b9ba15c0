package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// WriteText writes the answer for people: the verdict first, then why not another.
func (a *Answer) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
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
		line("It passed, in chain %s:", c.Passed[0].Chain)
		in := c.Passed[0].Chain
		for i, p := range c.Passed {
			if i > 0 && p.Rule.Name == c.Passed[i-1].Name && p.Why == c.Passed[i-1].Why && p.Why != "" {
				continue // one block's rules often say the same
			}
			if p.Chain != in {
				in = p.Chain
				line("  in chain %s:", in)
			}
			switch {
			case p.Why != "":
				line("  %s: %s", p.Rule, p.Why)
			case p.To != "":
				line("  %s: matches, jumps to chain %s", p.Rule, p.To)
			case p.Returns:
				line("  %s: matches, returns from the chain", p.Rule)
			default:
				line("  %s: matches, its target is not terminating", p.Rule)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
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
	if r.Place != "" {
		return r.Name + " (" + r.Place + ")"
	}
	return r.Name
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
		Packet  string     `json:"packet"`
		Assumed []string   `json:"assumed"`
		Notes   []string   `json:"notes"`
		Cases   []jsonCase `json:"cases"`
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
		Chain string `json:"chain,omitempty"`
		Text  string `json:"text,omitempty"`
		Place string `json:"place,omitempty"`
	}
	jsonPassed struct {
		jsonRule
		Why     string `json:"why,omitempty"`
		To      string `json:"to,omitempty"`
		Returns bool   `json:"returns,omitempty"`
	}
)

// WriteJSON writes the answer for programs.
func (a *Answer) WriteJSON(w io.Writer) error {
	out := jsonAnswer{Packet: a.Packet.String(), Assumed: append([]string{}, a.Guesses...), Notes: append([]string{}, a.Notes...)}
	for _, c := range a.Cases {
		one := jsonCase{Holds: c.Holds, Fails: c.Fails, Verdict: c.Verdict.String(), By: jsonRule(c.By), Passed: []jsonPassed{}}
		for _, p := range c.Passed {
			one.Passed = append(one.Passed, jsonPassed{jsonRule(p.Rule), p.Why, p.To, p.Returns})
		}
		out.Cases = append(out.Cases, one)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
