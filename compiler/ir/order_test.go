package ir

import (
	"strings"
	"testing"
)

func rules(phases ...Phase) []RuleID {
	var out []RuleID
	for i, p := range phases {
		out = append(out, RuleID{p, string(rune('a' + i))})
	}
	return out
}

func TestCheckOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []RuleID
		want  string
	}{
		{"no rule", nil, ""},
		{"one rule", rules(PhaseDefault), ""},
		{"each phase", rules(PhaseEstablished, PhaseDeny, PhaseAccept, PhaseDefault, PhaseEgress), ""},
		{"several of each", rules(PhaseEstablished, PhaseEstablished, PhaseDeny, PhaseDeny, PhaseDefault, PhaseDefault), ""},
		{"not all phases", rules(PhaseEstablished, PhaseDefault), ""},
		{"deny after accept", rules(PhaseEstablished, PhaseAccept, PhaseDeny), `"dockerfw accept b" of phase accept is before "dockerfw deny c" of phase deny`},
		{"the first of two violations", rules(PhaseDefault, PhaseAccept, PhaseDeny), `"dockerfw default a" of phase default is before "dockerfw accept b" of phase accept`},
		{"default after egress", rules(PhaseEgress, PhaseDefault), `"dockerfw egress a" of phase egress is before "dockerfw default b"`},
		{"not adjacent", rules(PhaseDeny, PhaseAccept, PhaseAccept, PhaseAccept, PhaseDeny), `"dockerfw accept d" of phase accept is before "dockerfw deny e"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckOrder(c.rules)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("unexpected error: %v", err)
			case c.want != "" && err == nil:
				t.Errorf("no error; want one with %q", c.want)
			case err != nil && !strings.Contains(err.Error(), c.want):
				t.Errorf("got %q, want %q", err, c.want)
			}
		})
	}
}

func TestCheckOrderReturnsBothRules(t *testing.T) {
	err := CheckOrder(rules(PhaseDeny, PhaseDeny, PhaseEstablished))
	if err == nil || err.First != 1 || err.Second != 2 || err.FirstID.Name != "b" || err.SecondID.Name != "c" {
		t.Errorf("%+v", err)
	}
}

// The comment of a rule in the kernel identifies the rule of the policy. The kernel keeps
// 255 bytes.
func TestParseCommentIsTheInverseOfComment(t *testing.T) {
	long := strings.Repeat("n", 120) // the longest name that a policy can have
	for _, c := range []struct {
		id   RuleID
		want string
	}{
		{RuleID{Phase: PhaseEstablished}, "dockerfw established"},
		{RuleID{PhaseDeny, "bad"}, "dockerfw deny bad"},
		{RuleID{Phase: PhaseDefault}, "dockerfw default"},
		{RuleID{PhaseEgress, long}, "dockerfw egress " + long},
	} {
		got := c.id.Comment()
		if got != c.want || len(got) > 255 {
			t.Errorf("got %q, want %q", got, c.want)
		}
		if back, ok := ParseComment(got); !ok || back != c.id {
			t.Errorf("%q is parsed as %+v, %t", got, back, ok)
		}
	}
	for _, text := range []string{"", "dockerfw", "dockerfw ", "dockerfw accept ", "dockerfw accept a b", "dockerfw allow", "Dockerfw accept", "accept a"} {
		if id, ok := ParseComment(text); ok {
			t.Errorf("%q is parsed as %+v", text, id)
		}
	}
}
