package diag

import (
	"github.com/hashicorp/hcl/v2"
)

// Related is another place that a diagnostic refers to.
type Related struct {
	Message string
	Range   hcl.Range
}

// Info is the hcl.Diagnostic.Extra of the diagnostics of this program.
type Info struct {
	Code Code
	// Line is the source line of the diagnostic, for files that are streamed and not kept.
	// If it is "", the line is read from Printer.Sources.
	Line string
	// Related are further places, in the order in which they are shown.
	Related []Related
	// Note is whether the diagnostic is only information: nothing needs to change.
	Note bool
	// Host is the label of the first host with the diagnostic, unless all hosts have it
	// with the same text and place.
	Host string
	// Hosts are all hosts with the diagnostic, in the order written, Host first; AllHosts
	// is whether these are all hosts of the policy.
	Hosts    []string
	AllHosts bool
	// UsedAt is where the policy uses the value of the diagnostic, if its subject is where
	// that value was written; nil otherwise.
	UsedAt *hcl.Range
}

// New returns an error diagnostic. The summary is a short noun phrase, the detail explains
// in full sentences what to do, the subject is as narrow as possible.
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

// Note returns a note, a warning about which nothing needs to be done; see New.
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

// WithCode sets the code of those of diags that have none, such as those of the HCL library.
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

// InfoOf returns the Info of d; the zero Info if it has none.
func InfoOf(d *hcl.Diagnostic) Info {
	info, _ := d.Extra.(Info)
	return info
}

// Unique returns diags without duplicates, sorted by file, line and column; those without a
// place come first. An error that several hosts of a fleet share is reported once.
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
