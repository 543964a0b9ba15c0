package apply

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/cut"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/hosttool"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
)

// Applier changes this host. It is made by New, and used for one operation.
type Applier struct {
	// Progress is called with what is about to be done; nil for nothing.
	Progress func(string)
	// Warn is called with what a person has to know and what is not an error; nil for nothing.
	Warn func(string)
	// OnPlan is called before a load changes anything, and OnLoad when the host has the version,
	// before what nothing uses any more is removed; nil for nothing. What they are given is final,
	// apart from Ended, Spared, Kept and Deadline. They start what a report needs and return, so that
	// it is computed while tools run, with copies of the hosts: the load goes on to use these.
	OnPlan, OnLoad func(Result)

	store *store.Store
	// unusable is why there is no store: only Boot can do without.
	unusable error
	lock     *store.Lock
	tools    *hosttool.Runner
}

// lockWait is how long a run waits for another one.
const lockWait = time.Minute

// New returns an Applier. The error is about missing rights, or about the directories of the
// store.
func New() (*Applier, error) {
	a, err := NewForBoot()
	if err == nil && a.unusable != nil {
		return nil, unchanged(a.unusable)
	}
	return a, err
}

// NewForBoot returns an Applier for Boot. The error is about missing rights.
func NewForBoot() (*Applier, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("root is required, to change the rules of this host: run the command with sudo")
	}
	s, err := store.Open()
	return &Applier{store: s, unusable: err, tools: hosttool.New()}, nil
}

// locked runs an operation while no other run can change anything.
func (a *Applier) locked(wait time.Duration, operation func() error) (err error) {
	if a.lock, err = a.store.Lock(wait, func() { a.warn("waiting for another dockerfw …") }); err != nil {
		return err
	}
	// If this run is killed, the next one waits for the tool that is running.
	a.tools.Hold(a.lock.File())
	defer func() {
		a.tools.Hold(nil)
		err = errors.Join(err, a.lock.Unlock())
	}()
	return operation()
}

func (a *Applier) progress(format string, args ...any) {
	if a.Progress != nil {
		a.Progress(fmt.Sprintf(format, args...))
	}
}

func (a *Applier) warn(format string, args ...any) {
	if a.Warn != nil {
		a.Warn(fmt.Sprintf(format, args...))
	}
}

// State is the state of a host after an operation that failed.
type State int

// The states.
const (
	// Unchanged: nothing was changed, or only what has no effect.
	Unchanged State = iota
	// RolledBack: the rules and sets are those from before.
	RolledBack
	// Unknown: rolling back failed too.
	Unknown
	// Closed: at boot, no folder could be loaded. The error describes what was done.
	Closed
	// Open: at boot, no folder could be loaded, and of at least one family there are no rules. The
	// error describes what was done.
	Open
)

// Failure is the error of an operation that could not complete.
type Failure struct {
	Err   error
	State State
	// Rollback is why rolling back failed, and Saved is where the version from before is kept.
	Rollback error
	Saved    string
	// Retry is after how many seconds rolling back is tried again; 0 for never.
	Retry int
	// Command is what to run where rolling back failed.
	Command string
}

// Error describes what failed, and the state of the host.
func (f *Failure) Error() string {
	switch f.State {
	case RolledBack:
		return fmt.Sprintf("%v\nrolled back to the previous rules and sets", f.Err)
	case Unknown:
		text := fmt.Sprintf("%v\nthe rollback failed: %v", f.Err, f.Rollback)
		if f.Retry > 0 {
			text += fmt.Sprintf("\nit is retried in %d seconds; to retry now, run: %s", f.Retry, f.Command)
		} else {
			text += "\nwhen the cause is fixed, run: " + f.Command
		}
		return text + "\ncheck iptables-save and ip6tables-save (for target nftables, nft list ruleset) now; the previous rules and sets are kept in " + f.Saved
	case Closed, Open:
		return f.Err.Error()
	}
	return fmt.Sprintf("%v\nnothing was changed", f.Err)
}

func (f *Failure) Unwrap() error { return f.Err }

// unchanged is a failure before anything was changed.
func unchanged(err error) error {
	if err == nil {
		return nil
	}
	return &Failure{Err: err, State: Unchanged}
}

// Result is what an operation did.
type Result struct {
	// Folder is the compiled folder that was loaded, without symbolic links.
	Folder string
	// Loaded is what was loaded, or in a dry run would be; nil where nothing is. Want is its host.
	Loaded *store.InForce
	Want   *snapshot.Host
	// Was is what was recorded as in force before a load that is not one at boot; nil for nothing.
	Was *store.InForce
	// Backend is the kind of iptables that was used, and Note why it is not the default one.
	Backend snapshot.Backend
	Note    string
	// Plan is what was done, or, in a dry run, what would be.
	Plan *plan.Plan
	// Moved are the jumps that went ahead of rules which would have let packets through.
	Moved []snapshot.Placement
	// Before and After are the host; After is simulated in a dry run.
	Before, After *snapshot.Host
	// Rules and Sets count what is in force.
	Rules, Sets int
	// Ended are the connections that were ended, and Spared those to the host itself that the rules
	// refuse and that were not.
	Ended, Spared []cut.Refusal
	// Kept are sets that the version does not need and foreign rules use.
	Kept []string
	// Deadline is when the change is rolled back unless it is confirmed; zero for never.
	Deadline time.Time
}

// uninterrupted ignores the signals that a terminal or systemd sends, and the one of a message that
// nobody reads any more: from here on the run must complete.
func uninterrupted() {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
}

// background is the context of tools in a part of a run that must complete.
var background = context.Background()
