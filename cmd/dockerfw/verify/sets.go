package verify

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// sets compares the type and the entries of each set.
func sets(h *hosts) (result, error) {
	names := h.want.Sets.Names()
	if len(names) == 0 {
		return nothing("the policy has no sets")
	}
	want, have := h.want.Members(), h.have.IPSetMembers()
	var faults []string
	for _, name := range names {
		if fault := setFault(h.want, h.have, name, want[name], have[name]); fault != "" {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return failed("%s", strings.Join(faults, "; "))
	}
	return ok("%s, with the compiled entries", words.Count(len(names), "set"))
}

// setFault is what is wrong with a set; "" for nothing. The entries of a set are nil where they
// are not known, or are not only addresses.
func setFault(wantHost, haveHost *snapshot.Host, name string, want, have *packet.AddrSet) string {
	a, b := wantHost.Sets.Set(name), haveHost.Sets.Set(name)
	switch {
	case b == nil:
		return name + " is missing"
	case a.Type != b.Type || a.Family != b.Family:
		return fmt.Sprintf("%s is %s %s instead of %s %s", name, b.Type, b.Family, a.Type, a.Family)
	case wantHost.Unmanaged[name] || want == nil:
		return ""
	case have == nil:
		return name + " has entries that are not addresses"
	}
	return elementsFault(name, want, have)
}

// elementsFault is how the addresses of a set differ; "" if they do not.
func elementsFault(name string, want, have *packet.AddrSet) string {
	switch {
	case have.IsEmpty() && !want.IsEmpty():
		return name + " is empty"
	case want.Equal(have):
		return ""
	}
	var parts []string
	if missing := want.Minus(have).Prefixes(0); len(missing) > 0 {
		parts = append(parts, entriesText("missing", missing))
	}
	if unexpected := have.Minus(want).Prefixes(0); len(unexpected) > 0 {
		parts = append(parts, entriesText("unexpected", unexpected))
	}
	return name + ": " + strings.Join(parts, ", ")
}

// entriesText counts entries and lists the first: "1 unexpected entry: 192.0.2.10".
func entriesText(what string, prefixes []netip.Prefix) string {
	const shown = 4
	return words.Count(len(prefixes), what+" entry") + ": " + words.List(words.Prefixes(prefixes), shown)
}
