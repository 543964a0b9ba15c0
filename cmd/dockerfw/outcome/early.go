package outcome

import (
	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
)

// Early computes the parts of a report that take long while the load still runs: it waits for the
// kernel most of the time. Its methods are for OnPlan and OnLoad of [apply.Applier].
type Early struct {
	// DryRun: nothing is loaded. Full finds all changes of traffic, however many.
	DryRun, Full bool

	meaning func() *Meaning
	facts   func() []facts.Fact
}

// Planned begins to compare the traffic before and after the load.
func (e *Early) Planned(r apply.Result) {
	e.meaning = begin(func() *Meaning {
		if nothingToDo(&r) {
			return nil
		}
		return meaningOf(&r, e.DryRun, e.Full)
	})
}

// Loaded begins to check the host.
func (e *Early) Loaded(r apply.Result) {
	e.facts = begin(func() []facts.Fact { return hostFacts(&r, e.DryRun) })
}

// begin starts f, and returns a function that waits for its result. If f panics, that function does:
// a fault in a report must not cut off a load.
func begin[T any](f func() T) func() T {
	var out T
	var fault any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { fault = recover() }()
		out = f()
	}()
	return func() T {
		if <-done; fault != nil {
			panic(fault)
		}
		return out
	}
}
