package driver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/suggest"
)

// chooseHosts returns the requested hosts of the policy; all of them if none is requested.
func chooseHosts(all, requested []string) ([]string, hcl.Diagnostics) {
	if len(requested) == 0 {
		return all, nil
	}
	var chosen []string
	var diags hcl.Diagnostics
	for _, name := range requested {
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

// joinHosts joins the diagnostics of hosts. Diagnostics that differ only in the host become
// one: in the host's name, or in the place of a value that each host has for the same use.
// A diagnostic that is not the same for all hosts lists those that it is for. partial means
// that labels are not all hosts of the policy.
func joinHosts(labels []string, partial bool, perHost []hcl.Diagnostics) hcl.Diagnostics {
	joined := findings{byText: map[identity]*finding{}, byUse: map[identity][]*finding{}}
	for i, diags := range perHost {
		for _, d := range diags {
			joined.add(labels[i], d)
		}
	}
	var out hcl.Diagnostics
	for _, f := range joined.all {
		info := diag.InfoOf(f.first)
		everywhere := len(f.hosts) == len(labels)
		// A set is unused only if no host uses it.
		if info.Code == diag.CodeUnusedSet && !everywhere {
			continue
		}
		if !everywhere || f.differs {
			info.Host, info.Hosts, info.AllHosts = f.hosts[0], f.hosts, everywhere && !partial
		}
		d := *f.first
		d.Extra = info
		out = append(out, &d)
	}
	return out
}

// findings are diagnostics of several hosts, with equal ones joined.
type findings struct {
	all []*finding
	// byText has findings by their exact text and place, byUse by their text without the
	// host's name and the place where a value is used.
	byText map[identity]*finding
	byUse  map[identity][]*finding
}

// finding is a diagnostic with the hosts that have it, in their order.
type finding struct {
	// first is the diagnostic of the first host, with related places on other hosts.
	first *hcl.Diagnostic
	hosts []string
	// differs means that other hosts have another text or place.
	differs bool
}

// identity is what diagnostics of several hosts must have in common to be one finding.
type identity struct {
	severity        hcl.DiagnosticSeverity
	code            diag.Code
	place           hcl.Range
	summary, detail string
}

// maxRelated is the number of places on further hosts that a finding shows.
const maxRelated = 2

// add adds a diagnostic of a host. All diagnostics of a host are added before the next
// host's.
func (fs *findings) add(host string, d *hcl.Diagnostic) {
	exact := identity{severity: d.Severity, code: diag.InfoOf(d).Code, summary: d.Summary, detail: d.Detail}
	if d.Subject != nil {
		exact.place = *d.Subject
	}
	use := exact
	use.summary, use.detail = withoutHost(d.Summary, host), withoutHost(d.Detail, host)
	if used := diag.InfoOf(d).UsedAt; used != nil {
		use.place = *used
	}
	f := fs.byText[exact]
	if f == nil {
		// Two diagnostics of one host for the same use are two mistakes, so the host must
		// not have the finding yet.
		if i := slices.IndexFunc(fs.byUse[use], func(f *finding) bool { return !f.isOn(host) }); i >= 0 {
			f = fs.byUse[use][i]
			f.differs = true
		}
	}
	if f == nil {
		f = &finding{first: d}
		fs.byText[exact], fs.byUse[use] = f, append(fs.byUse[use], f)
		fs.all = append(fs.all, f)
	}
	if f.isOn(host) {
		return
	}
	f.hosts = append(f.hosts, host)
	if n := len(f.hosts) - 1; n >= 1 && n <= maxRelated && d.Subject != nil && *d.Subject != *f.first.Subject {
		f.addRelated(host, *d.Subject)
	}
}

// isOn reports whether the finding is on the host, which is the last one added.
func (f *finding) isOn(host string) bool {
	return len(f.hosts) > 0 && f.hosts[len(f.hosts)-1] == host
}

// addRelated adds the place of the finding on another host, without changing the diagnostic
// of the first host, which belongs to the caller.
func (f *finding) addRelated(host string, place hcl.Range) {
	d := *f.first
	info := diag.InfoOf(&d)
	info.Related = slices.Clone(info.Related)
	d.Extra = info
	f.first = diag.WithRelated(&d, "the same on host "+host, place)
}

// hostMark replaces the name of the host in texts that are compared.
const hostMark = "\x00"

// withoutHost returns the text with the mark in place of the host's label, where the label
// is a word of its own. A label of one character or without letters could be any word or
// number of the text, and is not replaced.
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
		wholeWord := (i == 0 || !isLetterOrDigit(rune(text[i-1]))) && (end == len(text) || !isLetterOrDigit(rune(text[end])))
		b.WriteString(text[:i])
		if wholeWord {
			b.WriteString(hostMark)
		} else {
			b.WriteString(label)
		}
		text = text[end:]
	}
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func isLetterOrDigit(r rune) bool { return isLetter(r) || r >= '0' && r <= '9' }
