package report

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// maxClasses limits the classes of clients, and those of ports, of a table.
const maxClasses = 4096

// partition collects conditions that divide the packets of a table.
type partition struct {
	conds []packet.Cond
	// leading are the conditions of no rules but those that lead to folded ones: what only these list, no block
	// of the policy does.
	leading []bool
	index   map[string]int
}

// add adds a condition unless it has it, and returns its index.
func (p *partition) add(c packet.Cond) int { return p.addOf(c, false) }

// addOf adds a condition, which may be one of a rule that leads to folded ones.
func (p *partition) addOf(c packet.Cond, leads bool) int {
	k := key(c)
	if i, known := p.index[k]; known {
		p.leading[i] = p.leading[i] && leads
		return i
	}
	if p.index == nil {
		p.index = map[string]int{}
	}
	p.index[k] = len(p.conds)
	p.conds, p.leading = append(p.conds, c), append(p.leading, leads)
	return len(p.conds) - 1
}

// key is a text that two conditions share only if they are the same.
func key(c packet.Cond) string {
	list := func(sign string, cs []packet.Cond) string {
		var parts []string
		for _, x := range cs {
			parts = append(parts, key(x))
		}
		return sign + "(" + strings.Join(parts, " ") + ")"
	}
	switch c := c.(type) {
	case packet.InSet:
		return key(c.C)
	case packet.Not:
		return "!" + key(c.C)
	case packet.All:
		return list("&", c)
	case packet.Any:
		return list("|", c)
	case packet.Addr:
		return fmt.Sprintf("%d in %x", c.End, c.In.Hash())
	}
	return fmt.Sprintf("[%T %[1]v]", c)
}

// What a condition is about.
const (
	aboutClient = 1 << iota
	aboutTarget
	aboutOther
)

// about reports what the conditions that c consists of are about.
func about(c packet.Cond) int {
	out := 0
	packet.Walk(c, func(c packet.Cond) bool {
		switch c := c.(type) {
		case packet.Addr:
			out |= aboutEnd(c.End)
		case packet.Port:
			out |= aboutEnd(c.End)
		case packet.Interface:
			out |= aboutEnd(c.End)
		case packet.Proto, packet.ICMPType:
			out |= aboutTarget
		case packet.State:
			if c.States&ir.CTDNAT != 0 {
				out |= aboutTarget
			}
		case packet.Opaque:
			if _, ok := unmanagedSource(c.Text); ok {
				out |= aboutClient
			} else {
				out |= aboutOther
			}
		case packet.Until, packet.Mark:
			out |= aboutOther
		}
		return true
	})
	return out
}

// unmanagedSource returns the set whose members another program lists, if a condition is that the
// source is in it.
func unmanagedSource(condition string) (set string, ok bool) {
	set, ok = strings.CutPrefix(condition, "source in set ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(set, " (members unknown)")
}

func aboutEnd(e packet.End) int {
	if e == packet.Source {
		return aboutClient
	}
	return aboutTarget
}

// divide adds the conditions of the rules of a program to those about clients and those about
// targets, so that no rule divides a class of clients and of targets further. The conditions of a
// rule about targets count together: 443/tcp is one of them, and not all of tcp and port 443 of
// any protocol. So do those of the rules that lead to a folded one, which does not repeat them. A
// condition about both counts as its parts. Without nat, rules of nat tables are left out: they decide
// nothing.
func divide(h *snapshot.Host, f ir.Family, p *packet.Program, nat bool, clients, targets *partition) {
	led := ledTo(h, f, p)
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			if r.At.Table == "nat" && !nat {
				continue
			}
			leads := leadsToFolded(h, f, r)
			var target packet.All
			if !leads {
				target = slices.Clone(led[c.Name])
			}
			for _, c := range r.Matches {
				switch about(c) {
				case aboutClient:
					clients.addEach(packet.All{c}, false)
				case aboutTarget:
					target = append(target, c)
				case 0, aboutOther:
				default:
					packet.Walk(c, func(c packet.Cond) bool {
						switch about(c) {
						case aboutClient:
							clients.addEach(packet.All{c}, false)
							return false
						case aboutTarget:
							targets.addEach(packet.All{c}, false)
							return false
						}
						return true
					})
				}
			}
			if snapshot.IsOwnTable(r.At) {
				for _, one := range alternatives(target) {
					targets.addEach(one, false)
				}
				continue
			}
			targets.addEach(target, leads)
		}
	}
}

// leadsToFolded reports whether a rule only leads to folded rules.
func leadsToFolded(h *snapshot.Host, f ir.Family, r *packet.Rule) bool {
	id, ok := h.IDAt(f, r.At)
	return ok && id.Leads() && r.Verdict.Chain != ""
}

// ledTo are the conditions about targets that packets fulfill in the chains of folded rules: those of the only
// rule that leads there, and of the rules that lead to that one.
func ledTo(h *snapshot.Host, f ir.Family, p *packet.Program) map[string]packet.All {
	type caller struct {
		chain string
		rule  *packet.Rule
	}
	callers := map[string][]caller{}
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			if r.Verdict.Chain != "" {
				callers[r.Verdict.Chain] = append(callers[r.Verdict.Chain], caller{c.Name, r})
			}
		}
	}
	out := map[string]packet.All{}
	var of func(chain string) packet.All
	of = func(chain string) packet.All {
		if known, ok := out[chain]; ok {
			return known
		}
		out[chain] = nil // of a loop
		by := callers[chain]
		if len(by) != 1 || !leadsToFolded(h, f, by[0].rule) {
			return nil
		}
		conds := slices.Clone(of(by[0].chain))
		for _, c := range by[0].rule.Matches {
			if about(c) == aboutTarget {
				conds = append(conds, c)
			}
		}
		out[chain] = conds
		return conds
	}
	for _, c := range p.Chains {
		of(c.Name)
	}
	return out
}

// maxAlternatives limits the conjunctions that one rule of nft becomes.
const maxAlternatives = 256

// alternatives returns the conditions about targets of a rule of nft for each protocol and each port that
// the rule lists, as the rules of iptables have them.
func alternatives(target packet.All) []packet.All {
	out := []packet.All{nil}
	for _, c := range target {
		options := []packet.Cond{c}
		switch c := c.(type) {
		case packet.Any:
			options = c
		case packet.Proto:
			options = nil
			for _, n := range c.Numbers {
				options = append(options, packet.Proto{Numbers: []uint8{n}})
			}
		case packet.Port:
			options = nil
			for _, r := range c.Ranges {
				options = append(options, packet.Port{End: c.End, Ranges: []ir.PortRange{r}})
			}
		}
		var next []packet.All
		for _, before := range out {
			for _, o := range options {
				next = append(next, append(slices.Clip(before), o))
			}
		}
		if out = next; len(out) > maxAlternatives {
			return []packet.All{target}
		}
	}
	return out
}

// addEach adds the conjunction of conditions. One that consists of negations alone is replaced by
// what they negate: the class that is in none of the conditions is then that of all others.
func (p *partition) addEach(all packet.All, leads bool) {
	if len(all) == 0 {
		return
	}
	for _, c := range all {
		if _, negated := c.(packet.Not); negated {
			continue
		}
		if len(all) == 1 {
			p.addOf(c, leads)
		} else {
			p.addOf(all, leads)
		}
		return
	}
	for _, c := range all {
		p.addEach(packet.All{c.(packet.Not).C}, leads)
	}
}

// class is the packets for which the same conditions of a partition hold.
type class struct {
	// holds has '1' for each condition that does, and '0' for each other one.
	holds string
	set   packet.Set
	// rest: it is of clients that no rule lists.
	rest bool
}

// refine divides packets by conditions, all of them or none of which a class is in.
func refine(space *packet.Space, packets packet.Set, conditions []packet.Set) ([]class, error) {
	// A condition is about few classes: the labels find them.
	type part struct {
		set   packet.Set
		holds []int
	}
	parts := []part{{set: packets}}
	labels := space.Labels().Add(0, packets)
	for i, c := range conditions {
		for _, k := range labels.In(c).Numbers() {
			in, out := parts[k].set.And(c), parts[k].set.Diff(c)
			holds := append(slices.Clip(parts[k].holds), i)
			if out.IsEmpty() {
				parts[k].holds = holds
				continue
			}
			labels = labels.Move(k, len(parts), in)
			parts[k].set = out
			parts = append(parts, part{in, holds})
		}
		if len(parts) > maxClasses {
			return nil, fmt.Errorf("the rules distinguish more than %d classes of clients or of ports: too many for a report. dockerfw explain answers single questions", maxClasses)
		}
	}
	var classes []class
	for _, p := range parts {
		if p.set.IsEmpty() {
			continue
		}
		holds := bytes.Repeat([]byte{'0'}, len(conditions))
		for _, i := range p.holds {
			holds[i] = '1'
		}
		classes = append(classes, class{holds: string(holds), set: p.set})
	}
	slices.SortFunc(classes, func(a, b class) int { return strings.Compare(b.holds, a.holds) })
	return classes, nil
}

// numbers gives sets numbers, the same for equal ones.
type numbers map[packet.Labels]int

func (n numbers) of(s packet.Labels) int {
	i, known := n[s]
	if !known {
		i = len(n)
		n[s] = i
	}
	return i
}
