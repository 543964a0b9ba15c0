package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
)

// pass runs a plan, with checks at each moment, and calls visit after each atom. The host of m
// changes.
func pass(m *machine, p *plan.Plan, names map[string]bool, visit func(done int) error) error {
	after := m.Clone()
	steps := atoms(slices.Concat(p.Load, p.Settle))
	for _, s := range steps {
		if err := after.Run(s); err != nil {
			return fmt.Errorf("%s: %w\n%s", s.Name, err, s.Input)
		}
	}
	w := watch(m.Clone(), after, names)
	w.repairs = p.Repairs
	m.begin(p)
	for i, s := range steps {
		if err := w.step(m.Host, s, names); err != nil {
			return err
		}
		if err := visit(i + 1); err != nil {
			return fmt.Errorf("cut after %s\n%s: %w", s.Name, s.Input, err)
		}
	}
	return nil
}

// complete loads a version to the end, and checks the result. With closely, each moment is
// checked, too.
func complete(t fataler, m *machine, want *plan.Version, names map[string]bool, closely bool) error {
	p := m.make(t, want)
	if p == nil {
		return nil
	}
	if closely {
		if err := pass(m, p, names, func(int) error { return nil }); err != nil {
			return err
		}
	} else {
		m.begin(p)
		for _, s := range slices.Concat(p.Load, p.Settle) {
			if err := m.Run(s); err != nil {
				return fmt.Errorf("%s: %w\n%s", s.Name, err, s.Input)
			}
		}
	}
	m.end(p, want)
	if err := leftovers(m, want, names, m.make(t, want)); err != nil {
		return fmt.Errorf("%w\nthe plan was\n%s", err, text(p))
	}
	return nil
}

// text prints a plan.
func text(p *plan.Plan) string {
	var b strings.Builder
	for _, s := range slices.Concat(p.Load, p.Settle) {
		fmt.Fprintf(&b, "--- %s (%s, IPv%d)\n%s", s.Name, s.Tool, s.Family, s.Input)
	}
	return b.String()
}

// journey loads one version after another, and cuts the load of the second off after each atom,
// or after each few. From each such moment, it loads the version again, the first one, and a third one, and rolls
// back.
func journey(t fataler, m *machine, from, to, third *plan.Version, closely func(done int) bool) error {
	m.printed = map[*plan.Version]plan.Printed{}
	names := setNames(from, to, third)
	for name := range names {
		// An unmanaged set that exists is foreign.
		if m.Sets.Set(name) != nil && !slices.Contains(m.made, name) {
			delete(names, name)
		}
	}
	if err := complete(t, m, from, names, false); err != nil {
		return fmt.Errorf("first load: %w", err)
	}
	start, before := own(m.Host, setNames(from)), m.Before(to, plan.Records{Made: m.made, Unmanaged: m.unmanaged})
	p := m.make(t, to)
	if p == nil {
		return nil
	}
	return pass(m, p, names, func(done int) error {
		close := closely(done)
		if m.every > 1 && (done+m.shift)%m.every != 0 && !close {
			return nil
		}
		for _, next := range []struct {
			name  string
			want  *plan.Version
			every int
		}{{"completed", to, 1}, {"back", from, 2}, {"elsewhere", third, 3}} {
			if done%next.every != 0 && !close {
				continue
			}
			if err := complete(t, m.copy(), next.want, names, close); err != nil {
				return fmt.Errorf("%s: %w", next.name, err)
			}
		}
		rolled := m.copy()
		if err := complete(t, rolled, before, names, close); err != nil {
			return fmt.Errorf("rolled back: %w", err)
		}
		if now := own(rolled.Host, setNames(from)); now != start {
			return fmt.Errorf("rolled back to\n%s\ninstead of\n%s", now, start)
		}
		return nil
	})
}

// selected reports whether a case is tried: with -short one of step is.
func selected(n, step int) bool { return !testing.Short() || n%step == 0 }

func TestAnyPlanMayBeCutOffAnywhere(t *testing.T) {
	t.Parallel()
	all := versions(t)
	for i, from := range all {
		t.Run("from "+from.name, func(t *testing.T) {
			for k, to := range all {
				if !selected(i+k, 10) {
					continue
				}
				// Each pair has other moments: together, they have all kinds.
				m := &machine{Host: newHost(t, dockers, ""), every: 4, shift: i + k}
				third := all[(i+2*k+1)%len(all)]
				if err := journey(t, m, from.Version, to.Version, third.Version, func(done int) bool { return (done+i+k)%29 == 0 }); err != nil {
					t.Errorf("from %s to %s (third: %s): %v", from.name, to.name, third.name, err)
				}
			}
		})
	}
}
