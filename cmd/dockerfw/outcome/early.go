package outcome

import (
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// Early computes the parts of a report that take long while the load still runs: it waits for the
// kernel most of the time. Its methods are for OnPlan and OnLoad of [apply.Applier].
type Early struct {
	// DryRun: nothing is loaded. Full finds all changes of traffic, however many.
	DryRun, Full bool

	meaning func() (*Meaning, error)
	facts   func() ([]facts.Fact, error)
}

// Planned begins to compare the traffic before and after the load.
func (e *Early) Planned(r apply.Result) {
	r = separate(r)
	e.meaning = begin(func() *Meaning {
		if nothingToDo(&r) {
			return nil
		}
		return meaningOf(&r, e.DryRun, e.Full)
	})
}

// Loaded begins to check the host.
func (e *Early) Loaded(r apply.Result) {
	r = separate(r)
	e.facts = begin(func() []facts.Fact { return hostFacts(&r, e.DryRun) })
}

// separate is a result with hosts of its own, because the load goes on to use the others.
func separate(r apply.Result) apply.Result {
	for _, h := range []**snapshot.Host{&r.Want, &r.Before, &r.After} {
		if *h != nil {
			*h = (*h).Copy()
		}
	}
	return r
}

// begin starts f, and returns a function that waits for its result. A panic of f is an error there:
// a fault in a report must not cut off a load.
func begin[T any](f func() T) func() (T, error) {
	var out T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if fault := recover(); fault != nil {
				err = fmt.Errorf("internal error: %v; please report it", fault)
			}
		}()
		out = f()
	}()
	return func() (T, error) {
		<-done
		return out, err
	}
}
