package verify

import (
	"fmt"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// checks are all checks, in the order of the output. Those of a family are made for IPv4 and
// then for IPv6.
var checks = []check{
	{name: "files", needs: fromFolder, run: files},
	{name: "rules", ofFamily: true, run: rules},
	{name: "order", ofFamily: true, needs: filterRead, run: order},
	{name: "FORWARD", ofFamily: true, needs: rulesRead, run: forward},
	{name: "INPUT", ofFamily: true, needs: protectsInput, run: input},
	{name: "security", ofFamily: true, needs: rulesRead, run: security},
	{name: "Docker", ofFamily: true, needs: rulesRead, run: docker},
	{name: "foreign", ofFamily: true, needs: rulesRead, run: foreign},
	{name: "published", needs: publishes, run: publishedPorts},
	{name: "sets", run: sets},
	{name: "nft", needs: nftNotCovered, run: nftTables},
	{name: "backend", needs: live, run: backend},
}

// check is one thing to check.
type check struct {
	name     string
	ofFamily bool
	// needs reports whether there is anything to check; nil: always. Where it reports false,
	// the check is left out of the output.
	needs func(*hosts) bool
	run   func(*hosts) (result, error)
}

// hosts are the two hosts to compare.
type hosts struct {
	want, have *snapshot.Host
	// loaded is have after loading want; filled is loaded with the entries that the sets have
	// now: missing entries are a matter of the check of sets, not of the checks of rules.
	loaded, filled *snapshot.Host
	// family is that of the check.
	family ir.Family
}

func fromFolder(h *hosts) bool { return h.want.Kind == snapshot.Folder }

func live(h *hosts) bool { return h.have.Kind == snapshot.Live }

func rulesRead(h *hosts) bool { return h.have.Rules[h.family] != nil }

func filterRead(h *hosts) bool { return h.have.Filter(h.family) != nil }

func protectsInput(h *hosts) bool {
	return rulesRead(h) && h.want.Owns(h.family, ir.InputChain)
}

// result is the outcome of a check.
type result struct {
	ok, nothing bool
	text        string
}

func ok(format string, args ...any) (result, error) {
	return result{ok: true, text: fmt.Sprintf(format, args...)}, nil
}

func failed(format string, args ...any) (result, error) {
	return result{text: fmt.Sprintf(format, args...)}, nil
}

// nothing is the outcome where there is nothing to check, and that is no fault.
func nothing(format string, args ...any) (result, error) {
	return result{ok: true, nothing: true, text: fmt.Sprintf(format, args...)}, nil
}

// Check is the result of a check.
type Check struct {
	// Name is what was checked, such as "IPv4 rules".
	Name string
	OK   bool
	// Nothing: there was nothing to check.
	Nothing bool
	// Text is what was found; of a fault, what is wrong and how to fix it.
	Text string
}

func newHosts(want, have *snapshot.Host) *hosts {
	h := &hosts{want: want, have: have, loaded: want}
	// An unmanaged set of another type cannot be loaded: the check of sets reports it.
	if loaded, err := want.LoadedOnto(have); err == nil {
		h.loaded = loaded
	}
	h.filled = h.loaded.WithMembersOf(have)
	return h
}

// Host checks a host against what was compiled for it.
func Host(want, have *snapshot.Host) ([]Check, error) {
	h := newHosts(want, have)
	var out []Check
	add := func(c check, name string) error {
		if c.needs != nil && !c.needs(h) {
			return nil
		}
		r, err := c.result(h)
		if err != nil {
			return fmt.Errorf("%s cannot be checked: %w", name, err)
		}
		out = append(out, Check{name, r.ok, r.nothing, r.text})
		return nil
	}
	for i := 0; i < len(checks); i++ {
		if !checks[i].ofFamily {
			if err := add(checks[i], checks[i].name); err != nil {
				return nil, err
			}
			continue
		}
		last := i
		for last+1 < len(checks) && checks[last+1].ofFamily {
			last++
		}
		for _, h.family = range want.Families() {
			for _, c := range checks[i : last+1] {
				if err := add(c, words.Family(h.family)+" "+c.name); err != nil {
					return nil, err
				}
			}
		}
		i = last
	}
	return out, nil
}

func (c check) result(h *hosts) (r result, err error) {
	defer packet.Catch(&err)
	return c.run(h)
}
