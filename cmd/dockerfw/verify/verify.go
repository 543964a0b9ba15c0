package verify

import (
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// checks are all checks, in the order of the output. Those of a family are made for IPv4 and
// then for IPv6.
var checks = []check{
	{name: "files", needs: fromFolder, run: files},
	{name: facts.InterfacesName, ofHost: true, facts: facts.Interfaces},
	{name: facts.UplinksName, ofHost: true, facts: facts.Uplinks},
	{name: "rules", needs: ofTable, run: tableRules},
	{name: "order", needs: tableRead, run: tableOrder},
	{name: "rules", ofFamily: true, needs: not(ofTable), run: rules},
	{name: "order", ofFamily: true, needs: both(filterRead, not(ofTable)), run: order},
	{name: "FORWARD", ofFamily: true, ofHost: true, slow: true, needs: rulesRead, run: forward},
	{name: "INPUT", ofFamily: true, ofHost: true, slow: true, needs: protectsInput, run: input},
	{name: "security", ofFamily: true, ofHost: true, slow: true, needs: both(rulesRead, not(ofTable)), run: security},
	{name: "Docker", ofFamily: true, ofHost: true, needs: rulesRead, run: docker},
	{name: "foreign", ofFamily: true, ofHost: true, needs: both(rulesRead, not(ofTable)), run: foreign},
	{name: "foreign", ofHost: true, needs: tableRead, run: tableForeign},
	{name: "published", ofHost: true, slow: true, needs: publishes, run: publishedPorts},
	{name: "sets", needs: tableRead, run: tableSets},
	{name: "sets", needs: not(ofTable), run: sets},
	{name: "iptables", ofHost: true, needs: ofTable, run: leftOvers},
	{name: "nftables", ofHost: true, needs: hasOtherTable, run: tableLeftOver},
	{name: "nft", ofHost: true, needs: nftNotCovered, run: nftTables},
	{name: "backend", ofHost: true, needs: both(live, not(ofTable)), run: backend},
	{name: facts.FirewalldName, facts: ofThisHost(facts.Firewalld)},
	{name: facts.UFWName, facts: ofThisHost(facts.UFW)},
}

// check is one thing to check.
type check struct {
	name     string
	ofFamily bool
	// ofHost: it is about the rest of the host, which a load does not change, too.
	ofHost bool
	// slow: it computes with all rules of the policy, which takes a second for some thousand.
	slow bool
	// needs reports whether there is anything to check; nil: always. Where it reports false,
	// the check is left out of the output.
	needs func(*hosts) bool
	run   func(*hosts) (result, error)
	// facts is in place of run where a check can find several things, or none.
	facts func(want, have *snapshot.Host) []facts.Fact
}

// hosts are the two hosts to compare.
type hosts struct {
	want, have *snapshot.Host
	// loaded is have after loading want; filled is loaded with the entries that the sets have
	// now: missing entries are a matter of the check of sets, not of the checks of rules.
	loaded, filled *snapshot.Host
	// family is that of the check.
	family ir.Family
	// exempted are the families for which the check of FORWARD has reported that packets for
	// published ports are not tracked: to INPUT, it is the same fault.
	exempted map[ir.Family]bool
}

func fromFolder(h *hosts) bool { return h.want.Kind == snapshot.Folder }

func live(h *hosts) bool { return h.have.Kind == snapshot.Live }

func rulesRead(h *hosts) bool { return h.have.Rules[h.family] != nil }

func filterRead(h *hosts) bool { return h.have.Filter(h.family) != nil }

func protectsInput(h *hosts) bool {
	return rulesRead(h) && h.want.HasScope(h.family, ir.ScopeInput)
}

// ofThisHost is a check of the files of the host that this runs on, which tell nothing about another
// one.
func ofThisHost(check func(root string) []facts.Fact) func(want, have *snapshot.Host) []facts.Fact {
	return func(_, have *snapshot.Host) []facts.Fact {
		if have.Kind != snapshot.Live || have.Name != snapshot.LiveName {
			return nil
		}
		return check("/")
	}
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

// fact is the result of a check with a name.
func (r result) fact(name string) facts.Fact {
	status := facts.Error
	switch {
	case r.nothing:
		status = facts.Note
	case r.ok:
		status = facts.OK
	}
	return facts.Fact{Name: name, Status: status, Text: r.text}
}

func newHosts(want, have *snapshot.Host) *hosts {
	h := &hosts{want: want, have: have, loaded: want, exempted: map[ir.Family]bool{}}
	// An unmanaged set of another type cannot be loaded: the check of sets reports it.
	if loaded, err := want.LoadedOnto(have); err == nil {
		h.loaded = loaded
	}
	h.filled = h.loaded.WithMembersOf(have)
	return h
}

// Host checks a host against what was compiled for it. The facts are in the order of the checks, one
// or more for each; a note is a check with nothing to check.
func Host(want, have *snapshot.Host) ([]facts.Fact, error) {
	return run(checks, newHosts(want, have))
}

// Loaded returns the faults of a host that has what was compiled for it: those that loading it again
// does not fix. quick leaves out the checks that are slow for large policies.
func Loaded(want, have *snapshot.Host, quick bool) ([]facts.Fact, error) {
	ofHost := slices.DeleteFunc(slices.Clone(checks), func(c check) bool { return !c.ofHost || quick && c.slow })
	out, err := run(ofHost, newHosts(want, have))
	if out = facts.Faults(out); have.NetworkUnread != "" {
		out = append(facts.Interfaces(want, have), out...)
	}
	return out, err
}

// Unchecked is the fact that Loaded failed.
func Unchecked(err error) facts.Fact {
	return facts.New("host", facts.Warning, "foreign rules and Docker's were not checked: %v", err)
}

func run(checks []check, h *hosts) ([]facts.Fact, error) {
	var out []facts.Fact
	add := func(c check, name string) error {
		if c.facts != nil {
			out = append(out, c.facts(h.want, h.have)...)
			return nil
		}
		if c.needs != nil && !c.needs(h) {
			return nil
		}
		r, err := c.result(h)
		if err != nil {
			return fmt.Errorf("%s cannot be checked: %w", name, err)
		}
		out = append(out, r.fact(name))
		return nil
	}
	for i := 0; i < len(checks); i++ {
		if !checks[i].ofFamily {
			if err := add(checks[i], checks[i].name); err != nil {
				return out, err
			}
			continue
		}
		last := i
		for last+1 < len(checks) && checks[last+1].ofFamily {
			last++
		}
		for _, h.family = range h.want.Families() {
			for _, c := range checks[i : last+1] {
				if err := add(c, words.Family(h.family)+" "+c.name); err != nil {
					return out, err
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
