package status

import (
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/outcome"
)

// State is what a host has in force.
type State string

// The states.
const (
	InForce   State = "in_force"   // the rules of the recorded version are loaded
	Different State = "different"  // the host differs from the recorded version
	NotLoaded State = "not_loaded" // no rules of dockerfw are loaded
	Dormant   State = "dormant"    // the kernel ignores the only rules, those of a dormant table of nft
	Closed    State = "closed"     // the rules of a boot at which no folder could be loaded
	Unknown   State = "unknown"    // there are rules of dockerfw, and no record of them
)

// Report is the status. Its JSON is an interface: names and meanings are stable, more may be added.
type Report struct {
	// OK: the recorded version is in force, and no confirmation is overdue.
	OK    bool  `json:"ok"`
	State State `json:"state"`
	// Version is the one in force as recorded, and Since when it was loaded.
	Version *outcome.Version `json:"version,omitempty"`
	Since   *time.Time       `json:"since,omitempty"`
	// Differences are what the host lacks or has otherwise, one in each line.
	Differences []string `json:"differences"`
	// Error is why the host could not be compared.
	Error string `json:"error,omitempty"`
	// Facts are the faults of the host that loading the version again does not fix.
	Facts   []facts.Fact `json:"facts"`
	Pending *Pending     `json:"pending,omitempty"`
	// Good is the copy of the folder that boot loads if it cannot load its own.
	Good *Good          `json:"good,omitempty"`
	Boot apply.BootUnit `json:"boot"`
	// Drops is empty for target nftables, whose rules do not count.
	Drops []Drops `json:"drops"`
	Sets  []Set   `json:"sets"`

	// again is the folder to load in order to have the version in force again: the one that it came
	// from, or the copy of it if that was changed or removed.
	again string
}

// Pending is a change that waits for confirmation.
type Pending struct {
	Folder   string    `json:"folder"`
	Deadline time.Time `json:"deadline"`
	// Seconds are left, 0 if none.
	Seconds int `json:"seconds_left"`
	// Overdue: it should have been rolled back, or the process that would do so is gone.
	Overdue bool `json:"overdue"`
	// Partial: the run that loaded it has not completed.
	Partial bool `json:"partial"`
}

// Good is the copy of the folder that was loaded last.
type Good struct {
	Path   string `json:"path"`
	Digest string `json:"digest,omitempty"`
	// InForce: it is the version in force.
	InForce bool `json:"in_force"`
	// Error is why it cannot be read.
	Error string `json:"error,omitempty"`
}

// Drops are the packets that a block of the policy refused since the rules were loaded.
type Drops struct {
	// Rule is the block, as the policy writes it: default, or deny "web".
	Rule   string `json:"rule"`
	Family string `json:"family"`
	Chain  string `json:"chain"`
	// Fallback: it is one of the fallback rules in the security table.
	Fallback bool   `json:"fallback"`
	Packets  uint64 `json:"packets"`
	Bytes    uint64 `json:"bytes"`
}

// Set is a set of the version in force.
type Set struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	// Missing: the host does not have it.
	Missing bool `json:"missing,omitempty"`
	// Managed: dockerfw fills it.
	Managed bool `json:"managed"`
}
