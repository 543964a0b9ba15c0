package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape"
)

//go:embed report.html.tmpl
var htmlSource string

//go:embed report.css
var htmlStyle string

// htmlTemplate is the page. Package html/template escapes what it inserts for its context.
var htmlTemplate = template.Must(template.New("report").Parse(htmlSource))

// Marks of reaches beside their words, so that no meaning is in a color alone.
var symbols = map[Reach]string{Allowed: "✓", Refused: "✕", Left: "?", Depends: "±"}

// WriteHTML writes reports as one page that needs nothing else: no network, no script.
func WriteHTML(w io.Writer, reports []*Report) (err error) {
	defer packet.Catch(&err)
	page := htmlPage{Style: template.CSS(htmlStyle)}
	groups := sameReports(reports)
	for i, group := range groups {
		page.Hosts = append(page.Hosts, hostHTML(fmt.Sprintf("h%d", i+1), group))
	}
	page.Title = "Who can reach what"
	page.Of = page.Hosts[0].Of
	page.Several = len(groups) > 1
	return escape.HTML(w, htmlTemplate, page)
}

// What the template shows. All texts are escaped for people: see shown.
type (
	htmlPage struct {
		Title, Of string
		Style     template.CSS
		Several   bool
		Hosts     []htmlHost
	}
	htmlHost struct {
		ID, Title, Of, Change string
		Notes                 []string
		Changes               []htmlChange
		Tables                []htmlTable
		Sets                  []htmlSet
		Findings              []htmlFinding
	}
	htmlTable struct {
		ID, Title, About, Summary, Rows string
		Clients                         []htmlClients
		// Lines are by ports. A wide table has the verdicts at a port instead of cells.
		Lines []htmlLine
		Wide  bool
		Count string
		// Long tables are folded.
		Long bool
	}
	htmlClients struct{ Name, Detail string }
	htmlLine    struct {
		Port     string
		Cells    []htmlCell
		Verdicts []htmlVerdicts
		Details  []htmlDetail
	}
	htmlCell struct {
		Class, Symbol, Verdict, Change string
		Rules                          []htmlRule
		Empty                          bool
	}
	htmlRule     struct{ Name, Place string }
	htmlVerdicts struct {
		htmlCell
		Clients string
	}
	htmlDetail struct {
		Clients    string
		Cell       htmlCell
		Rule       htmlRule
		Before     string
		Conditions []string
		Examples   []string
	}
	htmlChange struct {
		Effect, Symbol, Clients, Port, Table string
		Before, After                        string
		BeforeRule, AfterRule                htmlRule
		Example                              string
	}
	htmlSet     struct{ Name, Type, Size, Sample string }
	htmlFinding struct{ Level, Place, Code, Text string }
)

// shown is foreign text as people see it: control characters are escaped, as in a terminal.
func shown(s string) string { return string(escape.Terminal(s)) }

func shownAll(all []string) []string {
	var out []string
	for _, s := range all {
		out = append(out, shown(s))
	}
	return out
}

// longTable is how many lines a table has that is not folded, and wideHTML how many clients are
// side by side.
const (
	longTable = 60
	wideHTML  = 8
)

func hostHTML(id string, group []*Report) htmlHost {
	r := group[0]
	of := shown(strings.TrimPrefix(titleOf(group), "Who can reach what: "))
	out := htmlHost{ID: id, Title: of, Of: of, Change: shown(r.Change), Notes: shownAll(r.Notes)}
	for i := range r.Tables {
		t := &r.Tables[i]
		out.Tables = append(out.Tables, tableHTML(fmt.Sprintf("%s-%d", id, i+1), t))
		out.Changes = append(out.Changes, changesHTML(t)...)
	}
	for i := range r.Sets {
		s := &r.Sets[i]
		out.Sets = append(out.Sets, htmlSet{shown(s.Name), shown(s.Type), s.size(), shown(s.sample())})
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, htmlFinding{shown(f.Level), shown(f.Place), shown(f.Code), shown(f.Text)})
	}
	return out
}

func tableHTML(id string, t *Table) htmlTable {
	out := htmlTable{
		ID: id, Title: t.heading(), About: t.about(), Summary: shown(t.summary()), Rows: t.rows(),
		Wide: len(t.Clients) > wideHTML, Long: len(t.Ports) > longTable,
		Count: words.Count(len(t.Ports), "row"),
	}
	for k := range t.Clients {
		c := &t.Clients[k]
		detail := ""
		if c.Detail != c.Name {
			detail = shown(c.Detail)
		}
		out.Clients = append(out.Clients, htmlClients{shown(c.name(t)), detail})
	}
	for i := range t.Ports {
		line := htmlLine{Port: shown(t.Ports[i].title())}
		if !out.Wide {
			for k := range t.Clients {
				line.Cells = append(line.Cells, cellHTML(t, t.Cells[i][k]))
			}
		}
		for _, g := range t.verdicts(i) {
			line.Verdicts = append(line.Verdicts, htmlVerdicts{
				htmlCell{Class: string(g.reach), Symbol: symbols[g.reach], Verdict: shown(g.verdict)}, shown(g.clients),
			})
		}
		for _, d := range t.details(i) {
			verdict := d.verdict
			if d.family != "" {
				verdict = d.family + ": " + verdict
			}
			one := htmlDetail{
				Clients: shown(d.clients), Rule: ruleHTML(d.rule), Conditions: shownAll(d.conditions), Examples: shownAll(d.examples),
				Cell: htmlCell{Class: string(d.reach), Symbol: symbols[d.reach], Verdict: shown(verdict), Change: d.change}, Before: shown(d.before),
			}
			line.Details = append(line.Details, one)
		}
		out.Lines = append(out.Lines, line)
	}
	return out
}

func cellHTML(t *Table, c *Cell) htmlCell {
	if len(c.Outcomes) == 0 {
		return htmlCell{Empty: true}
	}
	out := htmlCell{Class: string(c.Reach()), Symbol: symbols[c.Reach()], Verdict: shown(c.verdict(t.Kind)), Change: c.change()}
	for _, r := range rulesOf(c.Outcomes) {
		out.Rules = append(out.Rules, ruleHTML(r))
	}
	return out
}

func ruleHTML(r Rule) htmlRule {
	if r.Name == noRule {
		return htmlRule{Name: "no rule matches"}
	}
	return htmlRule{shown(r.title()), shown(r.Place)}
}

// changesHTML are the cells of a table that differ from the old side. Clients with the same change
// at a port share a line.
func changesHTML(t *Table) []htmlChange {
	var out []htmlChange
	for i := range t.Ports {
		first := len(out)
		for k := range t.Clients {
			for _, x := range t.Cells[i][k].Changes {
				clients := t.Clients[k].name(t)
				if len(x.Families) == 1 && len(t.Clients[k].Families) == 2 {
					clients += " (" + words.Family(x.Families[0]) + ")"
				}
				one := htmlChange{
					effects[x.Effect], map[Effect]string{Widened: "+", Narrowed: "−", Changed: "~"}[x.Effect],
					shown(clients), shown(t.Ports[i].title()), t.heading(),
					shown(x.Old.verdict(t.Kind)), shown(x.New.verdict(t.Kind)), ruleHTML(x.Old.Rule), ruleHTML(x.New.Rule), shown(x.Example(&t.Clients[k]).String()),
				}
				same := slices.IndexFunc(out[first:], func(o htmlChange) bool {
					return o.Effect == one.Effect && o.Before == one.Before && o.After == one.After && o.BeforeRule == one.BeforeRule && o.AfterRule == one.AfterRule
				})
				if same >= 0 {
					out[first+same].Clients += "; " + one.Clients
					continue
				}
				out = append(out, one)
			}
		}
	}
	return out
}
