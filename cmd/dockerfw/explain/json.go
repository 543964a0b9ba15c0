package explain

import (
	"io"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// The JSON of an answer. Names and meanings are an interface; more may be added.
type (
	jsonAnswer struct {
		// Path is "forwarded" or "docker-proxy".
		Path    string   `json:"path"`
		Packet  string   `json:"packet"`
		Assumed []string `json:"assumed"`
		Notes   []string `json:"notes"`
		// Facts are about a live host; none on other answers than the first.
		Facts []facts.Fact `json:"facts,omitempty"`
		Cases []jsonCase   `json:"cases"`
		// OtherPaths are the answers for other paths that the packet can take.
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
		// Implicit: the policy has no such block. The place is that of its host block.
		Implicit bool `json:"implicit,omitempty"`
	}
	jsonPassed struct {
		jsonRule
		Why     string `json:"why,omitempty"`
		To      string `json:"to,omitempty"`
		Returns bool   `json:"returns,omitempty"`
		Does    string `json:"does,omitempty"`
	}
)

// WriteJSON writes answers for programs.
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
		Assumed: append([]string{}, a.Assumed...), Notes: append([]string{}, a.Notes...),
		Facts: a.Facts,
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

func (r Rule) json() jsonRule {
	return jsonRule{r.Name, r.Table, r.Chain, r.Text, r.Place, r.MissingIn != ""}
}
