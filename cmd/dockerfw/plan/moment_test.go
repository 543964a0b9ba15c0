package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// nothing is the version that removes dockerfw.
func nothing() *plan.Version {
	return &plan.Version{Sets: &iptables.Sets{}, Unmanaged: &iptables.Sets{}}
}

// passage watches a host while it gets from one state to another.
type passage struct {
	before, after *plan.Host
	foreign       string
	// judged are the meanings, by the rules of a family with the content of their sets, that were
	// found to be allowed.
	judged map[string]bool
	// repairs: the plan starts from a load that was cut off.
	repairs bool
}

// watch prepares for a plan. names are those of dockerfw's sets in any version.
func watch(before, after *plan.Host, names map[string]bool) *passage {
	return &passage{before: before, after: after, foreign: foreign(before, names), judged: map[string]bool{}}
}

// step runs one atom and checks the moment after it.
func (w *passage) step(h *plan.Host, s plan.Step, names map[string]bool) error {
	if s.Tool == plan.IPSet {
		words := strings.Fields(string(s.Input))
		if words[0] != "swap" && words[0] != "destroy" && inRules(h)[words[1]] {
			return fmt.Errorf("%q changes a set that rules use", words)
		}
	}
	if err := h.Run(s); err != nil {
		return fmt.Errorf("%s: %w\n%s", s.Name, err, s.Input)
	}
	err := w.moment(h, names)
	if err != nil {
		return fmt.Errorf("after %s\n%s: %w", s.Name, s.Input, err)
	}
	return nil
}

func (w *passage) moment(h *plan.Host, names map[string]bool) error {
	if now := foreign(h, names); now != w.foreign {
		return fmt.Errorf("something foreign changed, from\n%s\nto\n%s", w.foreign, now)
	}
	for _, f := range families {
		for _, j := range jumps(w.before, f) {
			// A repair removes fallback rules that would be neither the old nor the new ones.
			if !(w.repairs && j.Table == "security") && slices.Contains(jumps(w.after, f), j) && !slices.Contains(jumps(h, f), j) {
				return fmt.Errorf("the jump %v is missing", j)
			}
		}
		key := fmt.Sprint(f) + meaning(h, f)
		if w.judged[key] {
			continue
		}
		w.judged[key] = true
		if err := w.judge(h, f); err != nil {
			return err
		}
	}
	return nil
}

// judge checks the rules of a family by the packet algebra.
func (w *passage) judge(h *plan.Host, f ir.Family) (err error) {
	defer packet.Catch(&err)
	var programs []*packet.Program
	for _, host := range []*plan.Host{w.before, w.after, h} {
		sets := netfilter.NewSets(host.Sets, nil)
		for _, start := range []struct{ table, chain string }{{"filter", "FORWARD"}, {"security", "FORWARD"}} {
			programs = append(programs, program(host, f, start.table, start.chain, sets))
		}
	}
	s, err := packet.New(programs...)
	if err != nil {
		return err
	}
	e := s.Programs()
	if err := oldOrNew(e[0], e[2], e[4], f, "FORWARD"); err != nil {
		return err
	}
	if err := fallbackRefusesMore(e, f, "FORWARD"); err != nil {
		return err
	}
	programs = nil
	for _, host := range []*plan.Host{w.before, w.after, h} {
		for _, table := range []string{"filter", "security"} {
			p := program(host, f, table, "INPUT", netfilter.NewSets(host.Sets, nil))
			p.ToHost = true
			programs = append(programs, p)
		}
	}
	if s, err = packet.New(programs...); err != nil {
		return err
	}
	e = s.Programs()
	if err := oldOrNew(e[0], e[2], e[4], f, "INPUT"); err != nil {
		return err
	}
	return fallbackRefusesMore(e, f, "INPUT")
}

// fallbackRefusesMore reports a packet that the fallback rules refuse now and both versions accept.
// The programs are those of the filter and the security table before, after and now.
func fallbackRefusesMore(e []*packet.Evaluation, f ir.Family, chain string) error {
	wrong := refused(e[5]).Diff(refused(e[0])).Diff(refused(e[2])).Diff(refused(e[1]))
	if p, ok := wrong.Witness(); ok {
		return fmt.Errorf("IPv%d, %s: the fallback rules refuse %v, which both versions accept", f, chain, p)
	}
	return nil
}

func oldOrNew(before, after, now *packet.Evaluation, f ir.Family, chain string) error {
	var differences []string
	for _, e := range []*packet.Evaluation{before, after} {
		c, err := packet.Compare(e, now, 1)
		if err != nil {
			return err
		}
		if c.Changed.IsEmpty() {
			return nil
		}
		differences = append(differences, fmt.Sprintf("%v: %v, now %v", c.Changes[0].Witness, c.Changes[0].Old, c.Changes[0].New))
	}
	return fmt.Errorf("IPv%d: %s is neither as before (%s) nor as after (%s)", f, chain, differences[0], differences[1])
}

func refused(e *packet.Evaluation) packet.Set {
	out := e.Space().None()
	for _, o := range e.Outcomes() {
		if o.Verdict.Kind == packet.Drop || o.Verdict.Kind == packet.Reject {
			out = out.Or(o.Set)
		}
	}
	return out
}

func program(h *plan.Host, f ir.Family, table, start string, sets *netfilter.Sets) *packet.Program {
	t := h.Rules[f].Table(table)
	if t == nil {
		t = &iptables.Table{Name: table, Chains: []*iptables.Chain{{Name: start, Policy: "ACCEPT"}}}
	}
	return netfilter.Program(t.Reachable(start), f, start, sets)
}

// inRules are the sets that rules use, with the members of lists.
func inRules(h *plan.Host) map[string]bool {
	out := map[string]bool{}
	for _, side := range []map[ir.Family]*iptables.Ruleset{h.Rules, h.Other} {
		for _, rs := range side {
			for _, t := range rs.Tables {
				for _, c := range t.Chains {
					for _, r := range c.Rules {
						for _, set := range r.Sets() {
							out[set] = true
							if s := h.Sets.Set(set); s != nil && s.Type == "list:set" {
								for e := range s.Entries() {
									out[e.String()] = true
								}
							}
						}
					}
				}
			}
		}
	}
	return out
}

// jumps are those to dockerfw's chains, and to the chains that they are in.
func jumps(h *plan.Host, f ir.Family) []plan.Jump {
	var out []plan.Jump
	for _, t := range h.Rules[f].Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if identity.JumpsTo(r, r.Jump) && (identity.IsOwnChain(r.Jump) || r.Jump == "DOCKER-USER") {
					out = append(out, plan.Jump{Family: f, Table: t.Name, Chain: c.Name, To: r.Jump})
				}
			}
		}
	}
	return out
}

// meaning are the rules of a family with the content of the sets instead of their names.
func meaning(h *plan.Host, f ir.Family) string {
	var b strings.Builder
	for _, t := range h.Rules[f].Tables {
		for _, c := range t.Chains {
			fmt.Fprintln(&b, t.Name, c.Name, c.Policy)
			for _, r := range c.Rules {
				text := r.Text
				for _, set := range r.Sets() {
					text = strings.ReplaceAll(text, "--match-set "+set+" ", "--match-set {"+content(h.Sets, set)+"} ")
				}
				fmt.Fprintln(&b, text)
			}
		}
	}
	return b.String()
}

// content is what a set matches; of a list, what its members do.
func content(sets *iptables.Sets, name string) string {
	s := sets.Set(name)
	if s == nil {
		return "missing"
	}
	var entries []string
	for e := range s.Entries() {
		if s.Type == "list:set" {
			entries = append(entries, "{"+content(sets, e.String())+"}")
		} else {
			entries = append(entries, s.EntryText(e))
		}
	}
	slices.Sort(entries)
	return s.Type + " " + strings.Join(entries, " ")
}

// foreign is everything on a host that does not belong to dockerfw.
func foreign(h *plan.Host, names map[string]bool) string {
	var b strings.Builder
	for i, side := range []map[ir.Family]*iptables.Ruleset{h.Rules, h.Other} {
		for _, f := range families {
			if side[f] == nil {
				continue
			}
			for _, t := range side[f].Tables {
				for _, c := range t.Chains {
					if identity.IsOwnChain(c.Name) {
						continue
					}
					var rules []string
					for n, r := range c.Rules {
						isJump := c.Name == "FORWARD" && identity.JumpsTo(r, "DOCKER-USER")
						if !identity.Ours(r) && !isJump && !identity.IsDockerReturn(c, n) {
							rules = append(rules, r.Text)
						}
					}
					// A chain may be created by a load; without rules it has no effect.
					if len(rules) > 0 || c.Policy == "DROP" {
						fmt.Fprintf(&b, "%d IPv%d %s %s %s\n  %s\n", i, f, t.Name, c.Name, c.Policy, strings.Join(rules, "\n  "))
					}
				}
			}
		}
	}
	for _, name := range h.Sets.Names() {
		base := strings.TrimSuffix(strings.TrimSuffix(name, "-new"), "-alt")
		if !names[base] {
			fmt.Fprintf(&b, "%s:", name)
			for e := range h.Sets.Set(name).Entries() {
				fmt.Fprint(&b, " ", e) // of a list, the name of a member
			}
			fmt.Fprintln(&b)
		}
	}
	return b.String()
}

// setNames are the names of the sets that versions fill, or create empty.
func setNames(versions ...*plan.Version) map[string]bool {
	out := map[string]bool{}
	for _, v := range versions {
		for _, name := range slices.Concat(v.Sets.Names(), v.Unmanaged.Names()) {
			out[name] = true
		}
	}
	return out
}

// leftovers checks that a host has a version in force and nothing else of dockerfw.
func leftovers(m *machine, want *plan.Version, names map[string]bool, p *plan.Plan) error {
	if !p.Differences.Empty() || len(p.Load)+len(p.Settle) > 0 || p.Repairs {
		return fmt.Errorf("a second load of the version would do something: %+v\n%v%v", p.Differences, p.Load, p.Settle)
	}
	for _, name := range m.Sets.Names() {
		base := strings.TrimSuffix(strings.TrimSuffix(name, "-new"), "-alt")
		if names[base] && (base != name || want.Sets.Set(name) == nil && !slices.Contains(m.created, name) && !slices.Contains(p.Left, name)) {
			return fmt.Errorf("set %s is left over", name)
		}
	}
	for _, f := range families {
		for _, t := range m.Rules[f].Tables {
			for _, c := range t.Chains {
				if identity.IsOwnChain(c.Name) && !declares(want.Rules[f], c.Name) {
					return fmt.Errorf("chain %s is left over", c.Name)
				}
			}
		}
	}
	return nil
}

func declares(r *plan.Rules, chain string) bool {
	if r == nil {
		return false
	}
	for _, b := range []*iptables.Block{r.Filter, r.Security} {
		if b != nil && slices.ContainsFunc(b.Commands, func(c *iptables.Command) bool { return c.Op == iptables.Declare && c.Chain == chain }) {
			return true
		}
	}
	return false
}

// own is everything on a host that belongs to dockerfw: its chains, its rules and jumps in others
// with their places, and its sets with all options of their entries.
func own(h *plan.Host, sets map[string]bool) string {
	var b strings.Builder
	for _, f := range families {
		for _, name := range []string{"filter", "security"} {
			t := h.Rules[f].Table(name)
			if t == nil {
				continue
			}
			for _, c := range slices.SortedFunc(slices.Values(t.Chains), func(a, b *iptables.Chain) int { return strings.Compare(a.Name, b.Name) }) {
				var rules []string
				for _, r := range c.Rules {
					if identity.IsOwnChain(c.Name) || identity.Ours(r) || identity.JumpsTo(r, "DOCKER-USER") {
						rules = append(rules, r.Text)
					}
				}
				if len(rules) > 0 || identity.IsOwnChain(c.Name) {
					fmt.Fprintf(&b, "IPv%d %s %s\n  %s\n", f, name, c.Name, strings.Join(rules, "\n  "))
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		s := h.Sets.Set(name)
		if s == nil {
			continue
		}
		var entries []string
		for e := range s.Entries() {
			entries = append(entries, fmt.Sprintf("%s %v", s.EntryText(e), e.Options))
		}
		slices.Sort(entries)
		fmt.Fprintf(&b, "%s %s %v: %s\n", name, s.Type, s.Options, strings.Join(entries, ", "))
	}
	return b.String()
}
