package plan_test

import (
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/golden/lab/policies"
)

// beside are policies that leave foreign rules in DOCKER-USER alone.
var beside = []string{"a jump", "inserted"}

type named struct {
	name string
	*plan.Version
}

// versions are the compiled policies, and last nothing at all: dockerfw is removed.
func versions(t testing.TB) []named {
	t.Helper()
	var out []named
	for _, p := range policies.All {
		out = append(out, named{p.Name, compile(t, p.Text)})
	}
	return append(out, named{"nothing", nothing()})
}

func version(t testing.TB, name string) *plan.Version {
	t.Helper()
	text := policies.Text(name)
	if text == "" {
		t.Fatalf("no policy %q", name)
	}
	return compile(t, text)
}
