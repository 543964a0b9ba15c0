package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/published"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
)

// publishes reports whether the host's rules show what is published: the nat table was read, and
// FORWARD and INPUT of the filter table.
func publishes(h *hosts) bool {
	for _, f := range h.have.Families() {
		d, t := h.have.Docker(f), h.have.Filter(f)
		if (d.NATSaved || d.Native) && snapshot.Declared(t.Chain("FORWARD")) && snapshot.Declared(t.Chain("INPUT")) || d.Native && t == nil && live(h) {
			return true
		}
	}
	return false
}

// publishedPorts compares what containers publish with the policy: it fails for ports that
// docker-proxy opens to clients that the policy refuses.
func publishedPorts(h *hosts) (result, error) {
	exposed, err := published.Live(h.want, h.have)
	if err != nil {
		return result{}, err
	}
	var faults, notes []string
	for _, f := range published.Findings(h.want, exposed) {
		if f.Fault {
			faults = append(faults, f.Text)
		} else {
			notes = append(notes, f.Text)
		}
	}
	if len(faults) > 0 {
		const most = 5
		shown, more := words.First(len(faults), most)
		text := strings.Join(faults[:shown], "; ") // with commas inside
		if more > 0 {
			text += fmt.Sprintf("; and %d more", more)
		}
		return failed("%s", text)
	}
	type port struct {
		protocol uint8
		number   uint16
	}
	var ports []port
	for _, x := range exposed {
		p := port{x.Port.Protocol, x.Port.First}
		if x.Path != published.HostNetwork && !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	text := strings.Join(append([]string{words.Count(len(ports), "published port")}, notes...), "; ")
	if len(exposed) == 0 {
		return nothing("%s", text)
	}
	return ok("%s", text)
}
