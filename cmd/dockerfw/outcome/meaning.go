package outcome

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
)

// Meaning is which traffic a load newly allows or blocks.
type Meaning struct {
	// Summary is one sentence. Skipped is why there is none.
	Summary string `json:"summary,omitempty"`
	Skipped string `json:"skipped,omitempty"`
	// Diff is what dockerfw diff --format json prints.
	Diff json.RawMessage `json:"diff,omitempty"`

	report *diff.Report
	// notCompared are chains that a load deletes, whose traffic the report does not have.
	notCompared []string
}

const (
	// maxRules and maxEntries bound what is compared after a load, which must stay fast: of 970 rules
	// that all change, the comparison takes 1.6 s, of 400 a quarter of a second.
	maxRules   = 400
	maxEntries = 200_000
	// maxChanges bounds the changes of each effect in the text.
	maxChanges = 5
)

// meaningOf compares the host before with the same host with the version loaded, as dockerfw diff
// does. A dry run compares policies of all sizes.
func meaningOf(r *apply.Result, dryRun, full bool) *Meaning {
	entries := 0
	for _, name := range r.Want.Sets.Names() {
		for range r.Want.Sets.Set(name).Entries() {
			entries++
		}
	}
	if !dryRun && (r.Rules > maxRules || entries > maxEntries) {
		return &Meaning{Skipped: "the policy is large"}
	}
	if len(r.Plan.Differences.Other) > 0 {
		return &Meaning{Skipped: fmt.Sprintf("dockerfw's rules are in the tables of iptables-%s too, which Docker does not use, and are removed there", r.Before.Backend.Other())}
	}
	opts := diff.Options{Changes: maxChanges}
	if full {
		opts = diff.Options{Full: true}
	}
	report, err := diff.Compare(r.Before, r.Want, opts)
	if err != nil {
		return &Meaning{Skipped: err.Error()}
	}
	var text bytes.Buffer
	if err := diff.WriteJSON(&text, []*diff.Report{report}, diff.Style{Full: full}); err != nil {
		return &Meaning{Skipped: err.Error()}
	}
	return &Meaning{Summary: report.Heading(), Diff: text.Bytes(), report: report, notCompared: diff.NotCompared(r.Before)}
}

// changes is the report with what the rest of the text does not have.
func (m *Meaning) changes() *diff.Report {
	out := *m.report
	out.Host, out.Sets, out.Rules, out.Foreign, out.SameReach, out.Notes = "", nil, nil, nil, nil, nil
	return &out
}
