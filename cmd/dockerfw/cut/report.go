package cut

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/escape"
)

// maxListed is how many connections Write lists.
const maxListed = 10

// Write writes a line for each of the connections that were ended, up to maxListed and one,
// and how many there are.
func Write(w io.Writer, ended []Refusal) error {
	return write(w, "ended", ended, "")
}

// WriteKept writes the connections to the host itself that were kept, as Write does; nothing
// if there are none.
func WriteKept(w io.Writer, kept []Refusal) error {
	if len(kept) == 0 {
		return nil
	}
	return write(w, "kept", kept, ": they end at the host itself, and your own session may be among them; --cut --cut-host ends them too")
}

func write(w io.Writer, verb escape.Safe, refused []Refusal, note escape.Safe) error {
	shown, more := words.First(len(refused), maxListed)
	for i := range refused[:shown] {
		if err := escape.Fprintf(w, "%s %s\n", verb, refused[i].String()); err != nil {
			return err
		}
	}
	rest := ""
	if more > 0 {
		rest = fmt.Sprintf("; %d are not listed", more)
	}
	return escape.Fprintf(w, "%s %s that the rules refuse%s%s\n", verb, words.Count(len(refused), "connection"), rest, note)
}

// String is the connection and the rule that refuses it.
func (r *Refusal) String() string {
	return r.Connection.String() + ": " + r.Rule + " refuses it"
}

// MarshalJSON writes the connection for programs. Names and meanings are an interface; more
// may be added. Addresses without a port are of protocols that have none.
func (r Refusal) MarshalJSON() ([]byte, error) {
	c := &r.Connection
	out := struct {
		// Protocol is a name, or a number where package packet has no name.
		Protocol    string `json:"protocol"`
		Source      string `json:"source"`
		Destination string `json:"destination"`
		// Translated is the destination after DNAT.
		Translated string `json:"translated,omitempty"`
		In         string `json:"in"`
		Out        string `json:"out,omitempty"`
		Chain      string `json:"chain"`
		Rule       string `json:"rule"`
	}{
		packet.Proto{Numbers: []uint8{c.Protocol}}.Name(), c.end(c.Original.Source), c.end(c.Original.Destination), "",
		r.In, r.Out, r.Chain, r.Rule,
	}
	if c.DNAT {
		out.Translated = c.end(c.Reply.Source)
	}
	return json.Marshal(out)
}
