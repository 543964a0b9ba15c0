package structs

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type small int

type record struct {
	Name  string
	Port  uint16
	Holds bool
	Kind  small
	List  []int
}

func TestEachFieldIsChangedAlone(t *testing.T) {
	base := record{Name: "a", Port: 80, Kind: 1, List: []int{1}}
	got := map[string]record{}
	EachField(t, base, []any{small(1), small(2), []int{1}, []int{2}}, func(field string, changed record) { got[field] = changed })
	want := map[string]record{
		"Name":  {Name: "ax", Port: 80, Kind: 1, List: []int{1}},
		"Port":  {Name: "a", Port: 81, Kind: 1, List: []int{1}},
		"Holds": {Name: "a", Port: 80, Holds: true, Kind: 1, List: []int{1}},
		"Kind":  {Name: "a", Port: 80, Kind: 2, List: []int{1}},
		"List":  {Name: "a", Port: 80, Kind: 1, List: []int{2}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// recorder is a test that keeps its errors.
type recorder struct {
	testing.TB
	errors []string
}

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestAFieldWithoutASampleIsReported(t *testing.T) {
	r := &recorder{TB: t}
	visited := 0
	EachField(r, struct{ Kind small }{1}, []any{small(1)}, func(string, struct{ Kind small }) { visited++ })
	if len(r.errors) != 1 || visited != 0 {
		t.Errorf("reported %q, visited %d", r.errors, visited)
	}
}
