package driver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// chooseHosts picks the hosts of the policy that were asked for.
func chooseHosts(all, asked []string) ([]string, hcl.Diagnostics) {
	if len(asked) == 0 {
		return all, nil
	}
	var chosen []string
	var diags hcl.Diagnostics
	for _, name := range asked {
		if name == "" || !slices.Contains(all, name) {
			detail := "The policy's host has no label: leave --host out."
			if all[0] != "" {
				detail = suggest.FromList(name, all, "The policy has", "host")
			}
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: fmt.Sprintf("no host %q", name), Detail: detail,
				Extra: diag.Info{Code: diag.CodeReference},
			})
		} else if !slices.Contains(chosen, name) {
			chosen = append(chosen, name)
		}
	}
	return chosen, diags
}

// sameFinding is what findings of several hosts have in common when they are one.
type sameFinding struct {
	severity        hcl.DiagnosticSeverity
	code            diag.Code
	place           hcl.Range
	summary, detail string
}

// merged is a finding with the hosts it came up for.
type merged struct {
	finding *hcl.Diagnostic
	hosts   []string
	// differs tells that text or place are those of the first host.
	differs bool
}

// on reports whether the finding came up for host, of which the findings come last.
func (m *merged) on(host string) bool {
	return len(m.hosts) > 0 && m.hosts[len(m.hosts)-1] == host
}

// shownPlaces is how many places of one mistake, on hosts beyond the first, are shown.
const shownPlaces = 2

// joinHosts joins the diagnostics of hosts. Those that differ only in the host are one:
// in its name, or in the place of a value that the hosts have each written for the
// same use. One that is not the same for all hosts says for which it came up. Of a
// partial policy not all hosts are there.
func joinHosts(labels []string, partial bool, perHost []hcl.Diagnostics) hcl.Diagnostics {
	var order []*merged
	byText, nameless := map[sameFinding]*merged{}, map[sameFinding][]*merged{}
	for i, diags := range perHost {
		host := labels[i]
		for _, d := range diags {
			exact := sameFinding{severity: d.Severity, code: diag.InfoOf(d).Code, summary: d.Summary, detail: d.Detail}
			if d.Subject != nil {
				exact.place = *d.Subject
			}
			like := exact
			like.summary, like.detail = withoutHost(d.Summary, host), withoutHost(d.Detail, host)
			if used := diag.InfoOf(d).UsedAt; used != nil {
				like.place = *used
			}
			m := byText[exact]
			if m == nil {
				// A host that has it already has it twice, and each is a mistake.
				if i := slices.IndexFunc(nameless[like], func(m *merged) bool { return !m.on(host) }); i >= 0 {
					m = nameless[like][i]
					m.differs = true
				}
			}
			if m == nil {
				m = &merged{finding: d}
				byText[exact], nameless[like] = m, append(nameless[like], m)
				order = append(order, m)
			}
			if m.on(host) {
				continue
			}
			m.hosts = append(m.hosts, host)
			if n := len(m.hosts) - 1; n >= 1 && n <= shownPlaces && d.Subject != nil && *d.Subject != *m.finding.Subject {
				also := *m.finding
				info := diag.InfoOf(&also)
				info.Related = slices.Clone(info.Related)
				also.Extra = info
				m.finding = diag.WithRelated(&also, "the same on host "+host, *d.Subject)
			}
		}
	}
	var out hcl.Diagnostics
	for _, m := range order {
		info := diag.InfoOf(m.finding)
		all := len(m.hosts) == len(labels)
		// A set is unused only if no host uses it.
		if info.Code == diag.CodeUnusedSet && !all {
			continue
		}
		if !all || m.differs {
			info.Host, info.Hosts, info.AllHosts = m.hosts[0], m.hosts, all && !partial
		}
		named := *m.finding
		named.Extra = info
		out = append(out, &named)
	}
	return out
}

// hostMark stands for the name of the host, whichever it is.
const hostMark = "\x00"

// withoutHost is text with a mark in the place of the host's label, where the label is
// a word of its own. A label without a letter, or of a single one, may be any number
// or word of the text, and stays.
func withoutHost(text, label string) string {
	if len(label) < 2 || !strings.ContainsFunc(label, isLetter) || !strings.Contains(text, label) {
		return text
	}
	var b strings.Builder
	for {
		i := strings.Index(text, label)
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		end := i + len(label)
		alone := (i == 0 || !isLetterOrDigit(rune(text[i-1]))) && (end == len(text) || !isLetterOrDigit(rune(text[end])))
		b.WriteString(text[:i])
		if alone {
			b.WriteString(hostMark)
		} else {
			b.WriteString(label)
		}
		text = text[end:]
	}
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func isLetterOrDigit(r rune) bool { return isLetter(r) || r >= '0' && r <= '9' }
