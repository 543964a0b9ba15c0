package facts

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/parser/escape"
)

// Status is how serious a fact is. Its values are an interface for programs.
type Status string

// The statuses.
const (
	// Error: the policy is untrue on the host.
	Error Status = "error"
	// Warning: part of the host is open or closed in a way that the policy does not show.
	Warning Status = "warning"
	// Note: something that matters, or that could not be checked.
	Note Status = "note"
	// OK: it was checked, and is as it should be.
	OK Status = "ok"
)

// Fact is something about a host that decides whether a policy holds there.
type Fact struct {
	// Name is a word for programs, such as "uplinks" or "IPv4 Docker". There may be several facts
	// with a name.
	Name   string
	Status Status
	// Text is what was found; of a fault, what is wrong and how to fix it.
	Text string
}

// New returns a fact with a formatted text.
func New(name string, s Status, format string, args ...any) Fact {
	return Fact{name, s, fmt.Sprintf(format, args...)}
}

// Fault reports whether a fact is an error or a warning.
func (f Fact) Fault() bool { return f.Status == Error || f.Status == Warning }

// Heading is what a fact begins with in text: a fault is a warning there, unless a command refuses
// because of it.
func (f Fact) Heading() string {
	if f.Fault() {
		return "warning"
	}
	return "note"
}

// Sentence is the text, after the name if that has the family: "IPv4 FORWARD: never reaches …".
func (f Fact) Sentence() string {
	if strings.HasPrefix(f.Name, "IPv") {
		return f.Name + ": " + f.Text
	}
	return f.Text
}

// MarshalJSON writes name, status and text, and ok, which is true unless it is a fault.
func (f Fact) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	err := escape.JSON(&out, struct {
		Name   string `json:"name"`
		OK     bool   `json:"ok"`
		Status Status `json:"status"`
		Text   string `json:"text"`
	}{f.Name, !f.Fault(), f.Status, f.Text})
	return out.Bytes(), err
}

// Faults returns the errors and warnings among facts, in their order; it is never nil.
func Faults(all []Fact) []Fact {
	out := append([]Fact{}, all...)
	return slices.DeleteFunc(out, func(f Fact) bool { return !f.Fault() })
}
