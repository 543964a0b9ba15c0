package verify

import (
	"fmt"
	"io"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// Fleet checks a host against the one host that was opened as compiled for it.
func Fleet(want, have *snapshot.Fleet) ([]facts.Fact, error) {
	compiled, host := want.Hosts[0], have.Hosts[0]
	switch {
	case !want.Kind.Compiled():
		return nil, fmt.Errorf("%s is neither a compiled folder nor a policy", compiled.Name)
	case len(want.Hosts) > 1:
		return nil, fmt.Errorf("%s has %d hosts: choose one with --host: %s", want.Name, len(want.Hosts), want.Labels())
	case have.Kind.Compiled():
		return nil, fmt.Errorf("%s is not a host: give the output of iptables-save and ipset save (to compare two policies or folders, use dockerfw diff)", host.Name)
	}
	return Host(compiled, host)
}

// OK reports whether no check failed.
func OK(checks []facts.Fact) bool { return len(facts.Faults(checks)) == 0 }

// WriteText writes a line for each check.
func WriteText(w io.Writer, checks []facts.Fact) error {
	for _, c := range checks {
		word := "ok  "
		switch {
		case c.Fault():
			word = "FAIL"
		case c.Status == facts.Note:
			word = "--  "
		}
		if err := escape.Fprintf(w, "%s  %-13s %s\n", word, c.Name, c.Text); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON writes an array with an object for each check.
func WriteJSON(w io.Writer, checks []facts.Fact) error {
	type record struct {
		Check   string       `json:"check"`
		OK      bool         `json:"ok"`
		Nothing bool         `json:"nothing_to_check,omitempty"`
		Status  facts.Status `json:"status"`
		Text    string       `json:"text"`
	}
	records := []record{}
	for _, c := range checks {
		records = append(records, record{c.Name, !c.Fault(), c.Status == facts.Note, c.Status, c.Text})
	}
	return escape.JSON(w, records)
}
