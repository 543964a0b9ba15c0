package report

import (
	"io"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// The JSON of a report. Names and meanings are an interface; more may be added.
type (
	jsonReport struct {
		Host     string        `json:"host,omitempty"`
		Name     string        `json:"name"`
		Old      string        `json:"old,omitempty"`
		Change   string        `json:"change,omitempty"`
		Notes    []string      `json:"notes"`
		Tables   []jsonTable   `json:"tables"`
		Sets     []jsonSet     `json:"sets"`
		Findings []jsonFinding `json:"findings"`
	}
	jsonTable struct {
		Kind    Kind          `json:"kind"`
		Clients []jsonClients `json:"clients"`
		Ports   []jsonPorts   `json:"ports"`
		// Cells are by ports, then by clients.
		Cells [][]jsonCell `json:"cells"`
	}
	jsonClients struct {
		Name     string   `json:"name"`
		Detail   string   `json:"detail"`
		Rest     bool     `json:"rest,omitempty"`
		Families []string `json:"families"`
	}
	jsonPorts struct {
		Name   string   `json:"name"`
		By     []string `json:"published_by,omitempty"`
		Rest   bool     `json:"rest,omitempty"`
		Direct bool     `json:"direct,omitempty"`
	}
	jsonCell struct {
		// Reach is "" in a cell without packets.
		Reach    Reach         `json:"reach"`
		Outcomes []jsonOutcome `json:"outcomes"`
		Before   []jsonOutcome `json:"before,omitempty"`
		Changes  []jsonChange  `json:"changes,omitempty"`
	}
	jsonOutcome struct {
		Reach      Reach    `json:"reach"`
		Verdict    string   `json:"verdict"`
		Rule       jsonRule `json:"rule"`
		Conditions []string `json:"conditions,omitempty"`
		Examples   []string `json:"examples,omitempty"`
	}
	jsonRule struct {
		Name     string `json:"name"`
		Place    string `json:"place,omitempty"`
		Text     string `json:"text,omitempty"`
		Implicit bool   `json:"implicit,omitempty"`
	}
	jsonChange struct {
		Effect  Effect      `json:"effect"`
		Old     jsonOutcome `json:"old"`
		New     jsonOutcome `json:"new"`
		Example string      `json:"example"`
	}
	jsonSet struct {
		Name    string   `json:"name"`
		Type    string   `json:"type"`
		Managed bool     `json:"managed"`
		Entries *int     `json:"entries,omitempty"`
		Sample  []string `json:"sample"`
		Added   int      `json:"added,omitempty"`
		Removed int      `json:"removed,omitempty"`
	}
	jsonFinding struct {
		Level string `json:"level"`
		Code  string `json:"code,omitempty"`
		Place string `json:"place,omitempty"`
		Text  string `json:"text"`
	}
)

// WriteJSON writes an object with the report of each host.
func WriteJSON(w io.Writer, reports []*Report) (err error) {
	defer packet.Catch(&err)
	out := struct {
		Hosts []jsonReport `json:"hosts"`
	}{[]jsonReport{}}
	for _, r := range reports {
		out.Hosts = append(out.Hosts, r.json())
	}
	return escape.JSON(w, out)
}

func (r *Report) json() jsonReport {
	out := jsonReport{
		Host: r.Host, Name: r.Name, Old: r.Old, Change: r.Change, Notes: append([]string{}, r.Notes...),
		Tables: []jsonTable{}, Sets: []jsonSet{}, Findings: []jsonFinding{},
	}
	for _, t := range r.Tables {
		one := jsonTable{Kind: t.Kind}
		for _, c := range t.Clients {
			one.Clients = append(one.Clients, jsonClients{c.Name, c.Detail, c.Rest, familyNames(c.Families)})
		}
		for _, p := range t.Ports {
			one.Ports = append(one.Ports, jsonPorts{p.Name, p.By, p.Rest, p.Direct})
		}
		for _, row := range t.Cells {
			var cells []jsonCell
			for k, c := range row {
				of := &t.Clients[k]
				cell := jsonCell{Reach: c.Reach(), Outcomes: outcomesJSON(c.Outcomes, of), Before: outcomesJSON(c.Before, of)}
				for _, x := range c.Changes {
					cell.Changes = append(cell.Changes, jsonChange{x.Effect, x.Old.json(of), x.New.json(of), x.Example(of).String()})
				}
				cells = append(cells, cell)
			}
			one.Cells = append(one.Cells, cells)
		}
		out.Tables = append(out.Tables, one)
	}
	for _, s := range r.Sets {
		one := jsonSet{Name: s.Name, Type: s.Type, Managed: s.Managed, Sample: append([]string{}, s.Sample...), Added: s.Added, Removed: s.Removed}
		if !s.Unknown {
			one.Entries = &s.Entries
		}
		out.Sets = append(out.Sets, one)
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, jsonFinding(f))
	}
	return out
}

func outcomesJSON(all []Outcome, c *Clients) []jsonOutcome {
	out := []jsonOutcome{}
	for _, o := range all {
		out = append(out, o.json(c))
	}
	return out
}

func (o *Outcome) json(c *Clients) jsonOutcome {
	return jsonOutcome{
		Reach: o.Reach, Verdict: o.Verdict.String(), Conditions: o.Conditions, Examples: o.examples(c),
		Rule: jsonRule{o.Rule.Name, o.Rule.Place, o.Rule.Text, o.Rule.MissingIn != ""},
	}
}

// examples are those of clients, as text.
func (o *Outcome) examples(c *Clients) []string {
	var out []string
	for _, e := range o.Examples {
		out = append(out, e(c).String())
	}
	return out
}
