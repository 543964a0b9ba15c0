package packet

import (
	"slices"
	"testing"
	"time"
)

func endOf(text string) Until {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return Until{End: t.Unix()}
}

func TestTheTextOfAnEnd(t *testing.T) {
	for _, c := range []struct{ end, before, after string }{
		{"2027-02-01T00:00:00Z", "until 2027-01-31", "after 2027-01-31"},
		{"2027-01-31T18:00:00Z", "until 2027-01-31T18:00:00Z", "from 2027-01-31T18:00:00Z"},
		{"2027-01-31T23:59:59Z", "until 2027-01-31T23:59:59Z", "from 2027-01-31T23:59:59Z"},
	} {
		text := endOf(c.end).String()
		before, ok1 := UntilText(text, true)
		after, ok2 := UntilText(text, false)
		if text != c.before || before != c.before || after != c.after || !ok1 || !ok2 {
			t.Errorf("%s: %q, %q, %q", c.end, text, before, after)
		}
	}
	if _, ok := UntilText("limit --limit 1/sec", true); ok {
		t.Error("a limit is read as an end")
	}
}

// Before one end it is also before all later ones: to move an end later takes nothing away,
// and a rule with an earlier end after one with a later end has no effect.
func TestEndsAreInOrder(t *testing.T) {
	first, second := endOf("2027-02-01T00:00:00Z"), endOf("2027-03-01T00:00:00Z")
	s := space(t, one(rule(Accept, first), rule(Drop)), one(rule(Accept, second), rule(Drop)), one(rule(Accept, second), rule(Accept, first), rule(Drop)))
	p := s.Programs()
	later, err := Compare(p[0], p[1], 10)
	if err != nil {
		t.Fatal(err)
	}
	if !later.Narrowed.IsEmpty() || later.Widened.IsEmpty() || len(later.Changes) != 1 {
		t.Fatalf("a later end: %+v", later)
	}
	want := []Condition{{first.String(), false}, {second.String(), true}}
	regions, _ := later.Widened.Regions(10)
	if len(regions) != 1 || !slices.Equal(regions[0].Conditions, want) {
		t.Errorf("regions %+v, want conditions %v", regions, want)
	}
	if got := later.Changes[0].Conditions; !slices.Equal(got, []string{first.String(), second.String()}) {
		t.Errorf("the change depends on %v", got)
	}
	if w := later.Changes[0].Witness.Conditions; w[first.String()] || !w[second.String()] {
		t.Errorf("the example has %v", w)
	}
	same, err := Compare(p[1], p[2], 10)
	if err != nil || !same.Changed.IsEmpty() {
		t.Errorf("an earlier end after a later one: %+v, %v", same, err)
	}
	// The set of the rule's packets depends on its own end only.
	if got := p[0].Outcome(Verdict{Kind: Accept}).Conditions(); !slices.Equal(got, []string{first.String()}) {
		t.Errorf("conditions %v", got)
	}
}
