package outcome

import (
	"fmt"
	"io"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/cut"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Style is how a report is written.
type Style struct {
	// Color marks what is newly allowed or blocked, and warnings. Full lists all entries of sets.
	Color, Full bool
}

// maxEntriesListed is how many entries of a set a dry run lists without Full, and maxDifferences how
// many lines other lists have.
const (
	maxEntriesListed = 20
	maxDifferences   = 20
)

// WriteJSON writes a report for programs.
func WriteJSON(w io.Writer, r *Report, _ Style) error { return escape.JSON(w, r) }

// WriteText writes a report for people. What failed is not written: that goes to standard error.
func WriteText(w io.Writer, r *Report, style Style) error {
	t := &text{style: style}
	if r.OK {
		t.write(r)
	}
	return escape.Write(w, escape.Safe(t.String()))
}

type text struct {
	strings.Builder
	style Style
}

func (t *text) line(format escape.Literal, args ...any) { escape.Fprintf(t, format+"\n", args...) }

func (t *text) write(r *Report) {
	t.heading(r)
	if r.BackendNote != "" {
		t.line("note: %s", r.BackendNote)
	}
	if len(r.Changes) > 0 && r.State != Removed {
		t.line("%s", escape.Safe(verb(r, "would change:", "changed:")))
		t.list(r.Changes)
	}
	if r.Plan != nil && len(r.Changes) > 0 {
		t.plan(r.Plan)
	}
	t.moved(r)
	if len(r.Deleted) > 0 {
		t.line("%s foreign rules in chains that are replaced:", escape.Safe(verb(r, "would delete", "deleted")))
		t.list(r.Deleted)
	}
	t.meaning(r)
	for _, f := range r.Facts {
		switch {
		case f.Status == facts.OK:
			t.line("%s", f.Sentence())
		case t.style.Color && f.Fault():
			t.line("\x1b[1;33mwarning:\x1b[0m %s", f.Sentence())
		default:
			t.line("%s: %s", f.Heading(), f.Sentence())
		}
	}
	if r.Ended != nil {
		cut.Write(t, r.Ended)
		cut.WriteKept(t, r.Spared)
	}
	if len(r.Kept) > 0 && r.State != Planned {
		t.line("kept, because foreign rules use them: %s", words.List(r.Kept, maxDifferences))
	}
	for _, s := range r.Next {
		t.line("next: %s", s.Text)
		t.line("  %s", s.Command)
	}
}

func verb(r *Report, planned, done string) string {
	if r.State == Planned {
		return planned
	}
	return done
}

// size is how much is loaded, and where.
func (r *Report) size() string {
	tool := "iptables-" + r.Version.Backend
	if r.Version.Target != "" {
		tool = "nft"
	}
	return fmt.Sprintf("%s and %s, with %s", words.Count(r.Rules, "rule"), words.Count(r.Sets, "set"), tool)
}

func (t *text) heading(r *Report) {
	switch r.State {
	case Planned:
		if len(r.Changes) == 0 {
			t.current(r, "a load records it")
			return
		}
		t.line("would load %s: %s", r.Version.name(), escape.Safe(r.size()))
	case Current:
		t.current(r, "it is recorded now")
	case Loaded, Waiting:
		t.line("loaded %s: %s", r.Version.name(), escape.Safe(r.size()))
	case Confirmed:
		t.line("confirmed: %s stays in force", r.Version.name())
	case RolledBack:
		t.line("rolled back to the previous rules and sets")
		if r.Version != nil {
			t.line("in force again: %s", r.Version.name())
		} else {
			t.line("no version of dockerfw was in force before")
		}
	case Removed:
		if r.nothing {
			t.line("nothing to remove: this host has no dockerfw rules. Published ports are open to everyone, unless other rules refuse")
			return
		}
		t.line("removed: no dockerfw rules remain. Published ports are open to everyone, unless other rules refuse")
	}
}

// current is the heading of a load that changes nothing on the host. With rules that were loaded from
// another folder, such as one that another version of dockerfw compiled, the record changes.
func (t *text) current(r *Report, recorded string) {
	const same = "nothing to load: the host already has the rules and sets of %s"
	switch {
	case r.unrecorded:
		t.line(same, r.Version.name())
		t.line("no version was recorded as in force; %s", escape.Safe(recorded))
	case r.Replaced != nil:
		t.line(same, r.Version.name())
		t.line("%s in place of %s%s", escape.Safe(recorded), r.Replaced.name(), r.Replaced.compiler(r.Version))
	default:
		t.line("nothing to do: the folder is already loaded: %s", r.Version.name())
	}
}

func (t *text) list(lines []string) {
	limit := maxDifferences
	if t.style.Full {
		limit = 0
	}
	shown, more := words.First(len(lines), limit)
	for _, l := range lines[:shown] {
		t.line("  %s", l)
	}
	if more > 0 {
		t.line("  … and %d more", more)
	}
}

func (t *text) moved(r *Report) {
	for _, m := range r.Moved {
		t.line("%s the jump to %s in %s (%s) to the head of the chain: it was behind %s, which lets through packets that the rules refuse", escape.Safe(verb(r, "would move", "moved")), m.To, m.Chain, strings.Replace(m.Family, "ipv", "IPv", 1), m.Behind)
		if m.Example != "" {
			t.line("  for example %s", m.Example)
		}
	}
}

func (t *text) meaning(r *Report) {
	switch m := r.Meaning; {
	case m == nil:
	case m.Skipped != "":
		t.line("traffic: not compared with before (%s). Before a load, this shows it: dockerfw diff live %s", m.Skipped, r.Version.Folder)
	case len(m.report.Changes) == 0:
		t.line("traffic: %s", m.Summary)
	default:
		t.line("traffic:")
		var b strings.Builder
		diff.WriteText(&b, []*diff.Report{m.changes()}, diff.Style{Color: t.style.Color, Full: t.style.Full})
		for l := range strings.Lines(b.String()) {
			if l = strings.TrimRight(l, "\n"); l != "" && l != "Changes" {
				t.line("  %s", escape.Safe(l)) // diff has escaped it
			}
		}
	}
	if r.Meaning != nil {
		for _, n := range r.Meaning.notCompared {
			t.line("  note: %s", n)
		}
	}
}

func (t *text) plan(p *Plan) {
	for _, d := range p.Rules {
		for l := range strings.Lines(d.Diff) {
			t.diffLine(strings.TrimRight(l, "\n"))
		}
	}
	for _, s := range p.Sets {
		what := "changes"
		switch {
		case s.Created:
			what = "is created"
		case s.Deleted:
			what = "is removed with its entries"
		}
		t.line("set %s %s", s.Name, escape.Safe(what))
		if s.Before != "" {
			t.diffLine("-" + s.Before)
		}
		if s.After != "" {
			t.diffLine("+" + s.After)
		}
		t.entries("-", s.Removed)
		t.entries("+", s.Added)
	}
	t.line("steps:")
	until, last := 0, false
	for i, s := range p.Steps {
		t.line("  %d. %s (%s)", i+1, s.Name, s.Tool)
		last = last || !s.RollsBack
		if s.RollsBack {
			until = i + 1
		}
	}
	switch {
	case until == 0:
	case last:
		t.line("If a step up to %d fails, the rules and sets from before are restored; if a later one fails, the new rules stay in force.", until)
	default:
		t.line("If a step fails, the rules and sets from before are restored.")
	}
}

func (t *text) entries(sign string, entries []string) {
	limit := maxEntriesListed
	if t.style.Full {
		limit = 0
	}
	shown, more := words.First(len(entries), limit)
	for _, e := range entries[:shown] {
		t.diffLine(sign + e)
	}
	if more > 0 {
		t.line("  … and %d more (--full lists them)", more)
	}
}

// diffLine writes a line of a diff, in color by its first character.
func (t *text) diffLine(l string) {
	color := map[byte]escape.Safe{'+': "\x1b[32m", '-': "\x1b[31m", '@': "\x1b[36m"}[(l + " ")[0]]
	if !t.style.Color || color == "" {
		t.line("  %s", l)
		return
	}
	t.line("  %s%s%s", color, l, escape.Safe("\x1b[0m"))
}
