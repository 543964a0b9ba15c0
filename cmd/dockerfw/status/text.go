package status

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/outcome"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Style is how a report is written.
type Style struct {
	// Color marks what is wrong. Full lists all rules, sets and differences.
	Color, Full bool
	Now         time.Time
	// Program is the version of this program, for [WritePrometheus].
	Program string
}

// maxListed is how many differences, rules and sets are listed without Full.
const maxListed = 10

// WriteJSON writes a report for programs.
func WriteJSON(w io.Writer, r *Report, _ Style) error { return escape.JSON(w, r) }

// WriteText writes a report for people: a line for each fact, and what to do.
func WriteText(w io.Writer, r *Report, style Style) error {
	t := &text{style: style}
	t.inForce(r)
	for _, f := range r.Facts {
		if f.Fault() {
			t.wrong("warning", "%s", f.Sentence())
		} else {
			t.line(f.Heading(), "%s", f.Sentence())
		}
	}
	t.pending(r.Pending, r.State)
	t.boot(r)
	t.good(r.Good)
	if r.Version != nil && r.Version.Target != "" {
		t.line("drops", "not counted: rules of nft have no counters")
	}
	t.drops(r.Drops)
	t.sets(r.Sets)
	return escape.Write(w, escape.Safe(t.String()))
}

type text struct {
	strings.Builder
	style Style
}

// line writes a fact after its name.
func (t *text) line(name string, format escape.Literal, args ...any) {
	escape.Fprintf(t, "%-10s %s\n", name, escape.Sprintf(format, args...))
}

// wrong is a fact that is not as it should be.
func (t *text) wrong(name string, format escape.Literal, args ...any) {
	start, end := escape.Safe(""), escape.Safe("")
	if t.style.Color {
		start, end = "\x1b[1;31m", "\x1b[0m"
	}
	escape.Fprintf(t, "%-10s %s%s%s\n", name, start, escape.Sprintf(format, args...), end)
}

func (t *text) inForce(r *Report) {
	again := "dockerfw apply FOLDER"
	if r.again != "" {
		again = shell.Command("dockerfw", "apply", r.again)
	}
	switch r.State {
	case InForce:
		t.line("rules", "in force, exactly as compiled")
	case Different:
		t.wrong("rules", "DIFFERENT from what was loaded: %s", words.Count(len(r.Differences), "difference"))
	case NotLoaded:
		t.wrong("rules", "NOT LOADED: this host has no rules of dockerfw, so published ports are open to everyone unless other rules refuse")
	case Dormant:
		t.wrong("rules", "DORMANT: the kernel ignores table inet dockerfw (flags dormant), so published ports are open to everyone unless other rules refuse")
	case Closed:
		t.wrong("rules", "CLOSED: no folder could be loaded at boot, so all containers are closed to the outside")
	case Unknown:
		if r.Error == "" {
			t.wrong("rules", "UNKNOWN: this host has rules of dockerfw, and there is no record of what was loaded")
		} else {
			t.wrong("rules", "UNKNOWN: the host could not be compared with what was loaded")
		}
	}
	if v := r.Version; v != nil {
		text := v.Folder
		if v.Host != "" {
			text += " for host " + v.Host
		}
		t.line("folder", "%s (%s)", text, outcome.Short(v.Digest))
		if len(v.Policy) > 0 {
			t.line("policy", "%s", strings.Join(v.Policy, ", "))
		}
		if r.Since != nil && !r.Since.IsZero() {
			t.line("since", "%s, %s ago", r.Since.Local().Format("2006-01-02 15:04:05 MST"), age(t.style.Now.Sub(*r.Since)))
		}
		switch {
		case v.Target != "":
			t.line("tables", "table inet dockerfw of nft")
		case v.Backend != "":
			t.line("tables", "iptables-%s", v.Backend)
		}
	}
	if r.Error != "" {
		t.wrong("error", "%s", r.Error)
	}
	if len(r.Differences) > 0 {
		t.list("to fix", r.Differences)
	}
	if r.State != InForce && r.Pending == nil { // a load is refused as long as a change waits
		t.line("next", "%s", again)
	}
}

// list writes lines, the first after a name.
func (t *text) list(name string, lines []string) {
	shown, more := words.First(len(lines), t.limit())
	for _, l := range lines[:shown] {
		t.line(name, "%s", l)
		name = ""
	}
	if more > 0 {
		t.line(name, "… and %d more (--full lists them)", more)
	}
}

func (t *text) limit() int {
	if t.style.Full {
		return 0
	}
	return maxListed
}

func (t *text) pending(p *Pending, state State) {
	switch {
	case p == nil:
	case p.Overdue:
		t.wrong("confirm", "OVERDUE: the change is not confirmed, and the process that would roll it back is gone")
		t.line("next", "dockerfw rollback, or dockerfw confirm to keep the change")
	case p.Partial:
		t.wrong("confirm", "the change is being loaded, or its run was killed; it is rolled back in %s", words.Count(p.Seconds, "second"))
		t.line("next", "dockerfw rollback")
	case state != InForce:
		// Rolling it back failed, or another tool has changed the rules meanwhile.
		t.wrong("confirm", "a change waits for confirmation, with %s left, but its rules are not in force", words.Count(p.Seconds, "second"))
		t.line("next", "dockerfw rollback")
	default:
		t.line("confirm", "the change is rolled back in %s unless you confirm", words.Count(p.Seconds, "second"))
		t.line("next", "dockerfw confirm")
	}
}

func (t *text) boot(r *Report) {
	b := r.Boot
	if !b.Systemd {
		t.line("boot", "this host does not run systemd: what loads the rules at boot is not known")
		return
	}
	if !b.Enabled {
		t.wrong("boot", "the unit %s is not enabled: published ports are open after a reboot", apply.UnitName)
	}
	switch {
	case b.Enabled && b.Folder == "":
		t.wrong("boot", "the unit is enabled, but %s does not exist", apply.BootFolder)
	case b.Folder != "" && b.Error != "":
		t.wrong("boot", "the unit cannot load %s: %s", b.Folder, b.Error)
	case !b.Enabled:
	case !r.bootsInForce():
		t.wrong("boot", "the unit loads %s, which is not the folder in force", b.Folder)
	default:
		t.line("boot", "the unit is enabled, and loads %s", b.Folder)
	}
	if r.Pending != nil { // whether it stays is decided first
		return
	}
	selectable := r.Version != nil && !r.bootsInForce()
	if selectable {
		dir := r.Version.Folder
		if r.again != "" {
			dir = r.again
		}
		t.line("next", "%s", apply.Select(dir, r.Version.Digest))
	}
	// Enabled without a folder that can be loaded, it may close all containers.
	if !b.Enabled && (selectable || b.Folder != "" && b.Error == "") {
		t.line("next", "%s", b.Enable())
	}
}

// bootsInForce reports whether boot loads the version in force, if one is recorded.
func (r *Report) bootsInForce() bool {
	v, b := r.Version, r.Boot
	return v == nil || b.Error == "" && b.Folder != "" && (b.Folder == v.Folder || b.Digest != "" && b.Digest == v.Digest)
}

// good writes what boot loads if it cannot load its folder.
func (t *text) good(g *Good) {
	switch {
	case g == nil:
		t.line("copy", "none: if the folder cannot be loaded at boot, all containers are closed")
	case g.Error != "":
		t.wrong("copy", "damaged, so that all containers are closed if the folder cannot be loaded at boot; the next load of a folder writes it again: %s", g.Error)
	case g.InForce:
		t.line("copy", "the version in force, if the folder cannot be loaded at boot")
	default:
		t.line("copy", "another version (%s), if the folder cannot be loaded at boot", outcome.Short(g.Digest))
	}
}

func (t *text) drops(drops []Drops) {
	var rows []Drops
	for _, d := range drops {
		if d.Packets > 0 || t.style.Full {
			rows = append(rows, d)
		}
	}
	if len(drops) == 0 {
		return
	}
	if len(rows) == 0 {
		t.line("drops", "no packets since the rules were loaded")
		return
	}
	lines := []string{"packets since the rules were loaded:"}
	for _, d := range rows {
		where := d.Chain
		if d.Fallback {
			where = "fallback rules"
		}
		lines = append(lines, fmt.Sprintf("%10d  %s (%s, %s)", d.Packets, d.Rule, where, strings.Replace(d.Family, "ipv", "IPv", 1)))
	}
	t.list("drops", lines)
}

func (t *text) sets(sets []Set) {
	if len(sets) == 0 {
		return
	}
	shown, more := words.First(len(sets), t.limit())
	var parts []string
	for _, s := range sets[:shown] {
		part := fmt.Sprintf("%s %d", s.Name, s.Entries)
		switch {
		case s.Missing:
			part = s.Name + " MISSING"
		case !s.Managed:
			part += " (unmanaged)"
		}
		parts = append(parts, part)
	}
	text := strings.Join(parts, ", ")
	if more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	t.line("sets", "%s", text)
}

// age is a duration in its largest units.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return words.Count(max(0, int(d.Seconds())), "second")
	case d < time.Hour:
		return words.Count(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return words.Count(int(d.Hours()), "hour")
	}
	return words.Count(int(d.Hours()/24), "day")
}
