package outcome

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/cut"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/verify"
)

// State is how an operation left the host.
type State string

// The states. The last four are those of failures; RolledBack is also that of rollback.
const (
	Planned    State = "planned"     // a dry run: nothing was changed
	Current    State = "current"     // there was nothing to do
	Loaded     State = "loaded"      // the folder is in force
	Waiting    State = "waiting"     // the folder is in force, and waits for confirmation
	Confirmed  State = "confirmed"   // the change that waited is kept
	Removed    State = "removed"     // dockerfw has no rules
	RolledBack State = "rolled_back" // the rules and sets are those from before
	Unchanged  State = "unchanged"   // nothing was changed
	Unknown    State = "unknown"     // rolling back failed too
	Closed     State = "closed"      // at boot, no folder could be loaded
	Open       State = "open"        // the same, and containers are open over IPv4 or IPv6
)

// Report is what an operation did. Its JSON is an interface: names and meanings are stable, more may
// be added.
type Report struct {
	// Operation is the command: apply, confirm, rollback, remove.
	Operation string `json:"operation"`
	OK        bool   `json:"ok"`
	State     State  `json:"state"`
	// Error is why the operation failed.
	Error string `json:"error,omitempty"`
	// Version is what was loaded, or is in force again after a rollback.
	Version *Version `json:"version,omitempty"`
	// Replaced is what was recorded as in force before, if a load that changes nothing on the host
	// records another version.
	Replaced *Version `json:"replaced,omitempty"`
	// BackendNote is why the backend is not the default one.
	BackendNote string `json:"backend_note,omitempty"`
	Rules       int    `json:"rules"`
	Sets        int    `json:"sets"`
	// Changes are what differs from before, one in each line.
	Changes []string `json:"changes"`
	Moved   []Moved  `json:"moved"`
	// Deleted are foreign rules that --force deletes.
	Deleted []string `json:"deleted"`
	// Plan is that of a dry run.
	Plan *Plan `json:"plan,omitempty"`
	// Meaning is which traffic is newly allowed or blocked.
	Meaning *Meaning     `json:"meaning,omitempty"`
	Facts   []facts.Fact `json:"facts"`
	// Ended are the connections that were ended; nil without --cut.
	Ended []cut.Refusal `json:"ended,omitzero"`
	// Spared are the connections to the host itself that the rules refuse, and that only
	// --cut-host ends; nil without --cut.
	Spared []cut.Refusal `json:"spared,omitzero"`
	// Kept are sets that are not needed, and that foreign rules use.
	Kept []string `json:"kept"`
	// Deadline is when the change is rolled back unless it is confirmed.
	Deadline *time.Time `json:"deadline,omitempty"`
	// Next are what to do next, with the command.
	Next []Step `json:"next"`

	seconds int
	// unrecorded: a load that changes nothing, and nothing was recorded as in force before.
	unrecorded bool
	// nothing: there was nothing to remove.
	nothing bool
}

// Version is a compiled folder.
type Version struct {
	Folder string   `json:"folder"`
	Digest string   `json:"digest"`
	Host   string   `json:"host,omitempty"`
	Policy []string `json:"policy"`
	// Target is "nftables" for a folder of that target; others are for iptables, of the kind Backend.
	Target  string `json:"target,omitempty"`
	Backend string `json:"backend,omitempty"`

	// program is the version of dockerfw that compiled it.
	program string
}

// Moved is a jump that went ahead of a rule which lets packets through.
type Moved struct {
	Family string `json:"family"`
	Table  string `json:"table"`
	Chain  string `json:"chain"`
	To     string `json:"to"`
	Behind string `json:"behind,omitempty"`
	// Example is a packet that the rule let through.
	Example string `json:"example,omitempty"`
}

// Step is something to do.
type Step struct {
	Text    string `json:"text"`
	Command string `json:"command"`
}

// VersionOf describes a recorded version; nil for none.
func VersionOf(in *store.InForce) *Version {
	if in == nil {
		return nil
	}
	policy := in.Policy
	if policy == nil {
		policy = []string{}
	}
	return &Version{in.Folder, in.Digest, in.Host, policy, in.Target, in.Backend, in.Version}
}

func newReport(operation string, state State) *Report {
	return &Report{
		Operation: operation, OK: true, State: state,
		Changes: []string{}, Moved: []Moved{}, Deleted: []string{}, Facts: []facts.Fact{}, Kept: []string{}, Next: []Step{},
	}
}

// Apply describes a load, or a dry run of it. early are the parts of it that were computed meanwhile;
// the error is that some could not be. The rest of the report is right all the same.
func Apply(r *apply.Result, o apply.Options, early *Early, boot apply.BootUnit) (*Report, error) {
	out := newReport("apply", Loaded)
	out.fill(r)
	switch {
	case o.DryRun:
		out.State, out.Plan = Planned, planOf(r.Plan)
	case nothingToDo(r):
		out.State = Current
	case !r.Deadline.IsZero():
		out.State, out.seconds = Waiting, o.Confirm
		deadline := r.Deadline
		out.Deadline = &deadline
	}
	if o.Cut && !o.DryRun {
		out.Ended = append([]cut.Refusal{}, r.Ended...)
		out.Spared = append([]cut.Refusal{}, r.Spared...)
	}
	switch {
	case len(out.Changes) > 0:
	case r.Was == nil:
		out.unrecorded = true
	case r.Was.Digest != r.Loaded.Digest:
		out.Replaced = VersionOf(r.Was)
	}
	meaning, err := early.meaning()
	if err != nil {
		meaning = &Meaning{Skipped: err.Error()}
	}
	out.Meaning = meaning
	if early.facts == nil { // a dry run
		early.Loaded(*r)
	}
	found, fault := early.facts()
	if fault != nil {
		found = []facts.Fact{verify.Unchecked(fault)}
	}
	out.Facts = append(out.Facts, found...)
	out.next(r, o, boot)
	return out, errors.Join(err, fault)
}

func nothingToDo(r *apply.Result) bool {
	return r.Plan.Differences.Empty() && len(r.Plan.Load) == 0
}

// maxRulesChecked bounds the check of foreign rules after a load, which must stay fast: for 1,000
// rules of both families together it takes a quarter of a second.
const maxRulesChecked = 1000

// hostFacts are the faults of the host with the version loaded.
func hostFacts(r *apply.Result, dryRun bool) []facts.Fact {
	host := r.After
	var err error
	switch {
	case dryRun:
		host, err = r.Want.LoadedOnto(r.Before)
	case host == nil: // there was nothing to do
		host = r.Before
	}
	quick := !dryRun && r.Rules > maxRulesChecked
	var out []facts.Fact
	if err == nil {
		out, err = verify.Loaded(r.Want, host, quick)
	}
	if quick {
		out = append(out, facts.New("host", facts.Note, "the policy is large, so foreign rules ahead of dockerfw's were not checked. To check them: %s", shell.Command("dockerfw", "verify", r.Folder)))
	}
	if err != nil {
		out = append(out, verify.Unchecked(err))
	}
	return out
}

// Boot describes a load at boot. Then interfaces may be missing that come later, and Docker's rules
// always are.
func Boot(r *apply.Result) *Report {
	out := newReport("apply", Loaded)
	out.fill(r)
	out.Facts = append(out.Facts, facts.Faults(facts.Interfaces(r.Want, r.Before))...)
	return out
}

// Confirm describes that a change is kept.
func Confirm(r *apply.Result, boot apply.BootUnit) *Report {
	out := newReport("confirm", Confirmed)
	out.fill(r)
	out.Changes, out.Moved = []string{}, []Moved{} // the load has made and reported them
	out.next(r, apply.Options{}, boot)
	return out
}

// Rollback describes that a change was undone. in is what is recorded as in force; nil for nothing.
func Rollback(in *store.InForce) *Report {
	out := newReport("rollback", RolledBack)
	out.Version = VersionOf(in)
	return out
}

// Remove describes that dockerfw's rules were removed.
func Remove(r *apply.Result, boot apply.BootUnit) *Report {
	out := newReport("remove", Removed)
	out.Changes = append(out.Changes, r.Plan.Differences.Lines()...)
	out.Kept = append(out.Kept, r.Kept...)
	out.nothing = r.Plan.Differences.Empty() && len(r.Plan.Load) == 0 && len(r.Plan.Settle) == 0
	if boot.Enabled {
		out.Next = append(out.Next, Step{"the boot unit is still enabled, and loads " + apply.BootFolder + " again; to disable it:", "systemctl disable --now dockerfw"})
	}
	return out
}

// Failed describes a failure of an operation.
func Failed(operation string, err error) *Report {
	out := newReport(operation, Unchanged)
	out.OK, out.Error = false, err.Error()
	var missing *apply.MissingError
	if errors.As(err, &missing) {
		out.Facts = append(out.Facts, missing.Facts...)
	}
	var failure *apply.Failure
	if errors.As(err, &failure) {
		out.State = map[apply.State]State{apply.Unchanged: Unchanged, apply.RolledBack: RolledBack, apply.Unknown: Unknown, apply.Closed: Closed, apply.Open: Open}[failure.State]
		if failure.Command != "" {
			out.Next = append(out.Next, Step{"when the cause is fixed, to try again:", failure.Command})
		}
	} else if operation == "remove" {
		// It describes in the error how far it came.
		out.State = Unknown
	}
	return out
}

// fill takes what is the same for all loads.
func (out *Report) fill(r *apply.Result) {
	out.Version = VersionOf(r.Loaded)
	if out.Version != nil && out.Version.Target == "" {
		out.Version.Backend = string(r.Backend)
	}
	out.BackendNote, out.Rules, out.Sets = r.Note, r.Rules, r.Sets
	out.Changes = append(out.Changes, r.Plan.Differences.Lines()...)
	out.Deleted = append(out.Deleted, r.Plan.Deleted...)
	out.Kept = append(out.Kept, r.Kept...)
	out.Facts = append(out.Facts, r.Facts()...)
	for _, p := range r.Moved {
		m := Moved{Family: p.Family.String(), Table: p.Table, Chain: p.Chain, To: p.To, Behind: p.Behind}
		if p.Example != nil {
			m.Example = p.Example.String()
		}
		out.Moved = append(out.Moved, m)
	}
}

// next finds what a person has to do.
func (out *Report) next(r *apply.Result, o apply.Options, boot apply.BootUnit) {
	add := func(text, command string) { out.Next = append(out.Next, Step{text, command}) }
	switch out.State {
	case Planned:
		if len(out.Changes) > 0 {
			command := []string{"dockerfw", "apply", "--confirm", "60"}
			if o.Force {
				command = append(command, "--force")
			}
			if o.AllowMissing {
				command = append(command, "--allow-missing-interface")
			}
			if o.Backend != "" {
				command = append(command, "--backend", string(o.Backend))
			}
			add("to load it, with a rollback unless you confirm:", shell.Command(append(command, r.Folder)...))
		}
		return
	case Waiting:
		add(fmt.Sprintf("rolling back in %d seconds unless you confirm:", out.seconds), "dockerfw confirm")
		return
	}
	if !boot.Systemd {
		return
	}
	digest := ""
	if out.Version != nil {
		digest = out.Version.Digest
	}
	if boot.Folder != r.Folder && (digest == "" || boot.Digest != digest) {
		add("at boot "+bootFolder(boot)+"; to load this version:", apply.Select(r.Folder, digest))
	}
	if !boot.Enabled {
		add("the boot unit is not enabled, so published ports are open after a reboot; to enable it:",
			boot.Enable())
	}
}

func bootFolder(boot apply.BootUnit) string {
	if boot.Folder == "" {
		return apply.BootFolder + " is loaded, which does not exist"
	}
	return apply.BootFolder + " is loaded, which is " + boot.Folder
}

// name is the version in one line.
func (v *Version) name() string {
	text := v.Folder
	if v.Host != "" {
		text += " for host " + v.Host
	}
	if len(v.Policy) > 0 {
		text += ", compiled from " + strings.Join(v.Policy, ", ")
	}
	return text + " (" + Short(v.Digest) + ")"
}

// compiler is the version of dockerfw that compiled a folder, if it is not the one of another folder.
func (v *Version) compiler(other *Version) string {
	if v.program == other.program {
		return ""
	}
	return fmt.Sprintf(", which dockerfw %s compiled, not %s", v.program, other.program)
}

// Short is the beginning of a digest.
func Short(digest string) string { return digest[:min(12, len(digest))] }
