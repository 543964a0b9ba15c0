package diag

import (
	"github.com/hashicorp/hcl/v2"
)

// Related is another place that a diagnostic speaks of.
type Related struct {
	Message string
	Range   hcl.Range
}

// Info is what a diagnostic of ours carries in hcl.Diagnostic.Extra.
type Info struct {
	Code Code
	// Line is the source line the diagnostic points at, for files that are
	// streamed and so are not at hand when diagnostics are printed. Empty:
	// take it from the file.
	Line string
	// Related are further places, in the order they are to be shown.
	Related []Related
	// Note marks what is said for information: it is neither wrong nor odd.
	Note bool
	// Host is the labelled host the diagnostic came up for first, when it does not
	// hold for every host or its text or place is that host's.
	Host string
	// Hosts are all hosts it came up for, in the order written, Host first; AllHosts
	// tells that these are all hosts of the policy.
	Hosts    []string
	AllHosts bool
	// UsedAt is where the policy uses the value that the diagnostic is about, when its
	// subject is where that value was written; nil otherwise.
	UsedAt *hcl.Range
}

// New returns an error diagnostic. The summary is a short noun phrase, the
// detail says in full sentences what to do, the subject is as tight as it can be.
func New(code Code, subject hcl.Range, summary, detail string) *hcl.Diagnostic {
	code.mustExist()
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  summary,
		Detail:   detail,
		Subject:  &subject,
		Extra:    Info{Code: code},
	}
}

// Warn returns a warning; see New.
func Warn(code Code, subject hcl.Range, summary, detail string) *hcl.Diagnostic {
	d := New(code, subject, summary, detail)
	d.Severity = hcl.DiagWarning
	return d
}

// Note returns a note: a warning, for those who ask only for errors, about something
// that is as it may be; see New.
func Note(code Code, subject hcl.Range, summary, detail string) *hcl.Diagnostic {
	d := Warn(code, subject, summary, detail)
	d.Extra = Info{Code: code, Note: true}
	return d
}

// Level is the severity in a word: error, warning or note.
func Level(d *hcl.Diagnostic) string {
	switch {
	case d.Severity == hcl.DiagError:
		return "error"
	case InfoOf(d).Note:
		return "note"
	}
	return "warning"
}

// WithRelated adds a further place to d and returns d.
func WithRelated(d *hcl.Diagnostic, message string, rng hcl.Range) *hcl.Diagnostic {
	info := InfoOf(d)
	info.Related = append(info.Related, Related{Message: message, Range: rng})
	d.Extra = info
	return d
}

// WithCode gives code to those of diags that have none, such as the ones the
// HCL library makes.
func WithCode(code Code, diags hcl.Diagnostics) hcl.Diagnostics {
	code.mustExist()
	for _, d := range diags {
		if info := InfoOf(d); info.Code == 0 {
			info.Code = code
			d.Extra = info
		}
	}
	return diags
}

// InfoOf returns what d carries of ours; the zero Info if it carries nothing.
func InfoOf(d *hcl.Diagnostic) Info {
	info, _ := d.Extra.(Info)
	return info
}

// Unique returns diags without those that say the same of the same place, in
// order of file, line and column; those without a place come first. An error
// that several hosts of a fleet share is said once.
func Unique(diags hcl.Diagnostics) hcl.Diagnostics {
	type key struct {
		severity        hcl.DiagnosticSeverity
		subject         hcl.Range
		summary, detail string
	}
	seen := make(map[key]bool, len(diags))
	var out hcl.Diagnostics
	for _, d := range diags {
		k := key{severity: d.Severity, summary: d.Summary, detail: d.Detail}
		if d.Subject != nil {
			k.subject = *d.Subject
		}
		if seen[k] {
			continue
		}
		seen[k] = true
		out = append(out, d)
	}
	sortByPlace(out)
	return out
}
