package explain

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/question"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// host is what the state tells of the host that a question is about.
func (e *explainer) host() question.Host {
	h := question.Host{Name: e.state.Name, SourcePorts: e.asksForSourcePorts()}
	h.External, h.Container = e.state.Interfaces(e.family)
	if e.state.Kind.Compiled() {
		return h // which has neither Docker's chains nor its nat table
	}
	h.Bridges = e.state.Bridges(e.family)
	h.Bridge = func(container netip.Addr) string { return e.bridgeOf(container) }
	switch {
	case !e.whole:
	case e.state.Rules[e.family].Table("nat") != nil || e.state.Docker(e.family).Native:
		h.Translate = e.translate
	case e.state.Kind == snapshot.Saved:
		e.note("%s has no nat table: that a published port is translated is assumed", e.state.Name)
	default:
		// A live host without the table translates nothing.
		h.Translate = func(packet.Packet, bool) (question.Target, bool) { return question.Target{}, false }
	}
	return h
}

// asksForSourcePorts tells whether the port that a packet comes from may count: it
// goes without saying that it is any high one.
func (e *explainer) asksForSourcePorts() bool {
	asks := func(m iptables.Match) bool {
		return slices.ContainsFunc([]string{"--sport", "--sports", "--ports"}, func(option string) bool { return m.Option(option) != nil })
	}
	for _, c := range e.chains() {
		for _, r := range c.Rules {
			if slices.ContainsFunc(r.Matches, asks) || slices.ContainsFunc(r.Matches, e.setAsksForSourcePorts) {
				return true
			}
		}
	}
	return false
}

// setAsksForSourcePorts tells whether a match looks the port that a packet comes from up
// in a set.
func (e *explainer) setAsksForSourcePorts(m iptables.Match) bool {
	o := m.Option("--match-set")
	if o == nil || len(o.Values) != 2 {
		return false
	}
	set := e.state.Sets.Set(o.Values[0])
	if set == nil {
		return false
	}
	_, kinds, _ := strings.Cut(set.Type, ":")
	flags := strings.Split(o.Values[1], ",")
	i := slices.Index(strings.Split(kinds, ","), "port")
	return i >= 0 && i < len(flags) && flags[i] == "src"
}

// chains are those of the filter table; a host may have none yet.
func (e *explainer) chains() []*iptables.Chain {
	if t := e.state.Filter(e.family); t != nil {
		return t.Chains
	}
	return nil
}
