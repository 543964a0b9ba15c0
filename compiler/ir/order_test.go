package ir

import (
	"strings"
	"testing"
)

func chain(name string, phases ...Phase) *Chain {
	c := &Chain{Name: name}
	for i, p := range phases {
		c.Rules = append(c.Rules, &Rule{Phase: p, Origin: Origin{Name: string(rune('a' + i))}})
	}
	return c
}

func TestCheckOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		chains []*Chain
		want   string
	}{
		{"no chain", nil, ""},
		{"no rule", []*Chain{chain("A")}, ""},
		{"one rule", []*Chain{chain("A", Default)}, ""},
		{"each phase", []*Chain{chain("A", Established, Deny, Accept, Default, Egress)}, ""},
		{"several of each", []*Chain{chain("A", Established, Established, Deny, Deny, Default, Default)}, ""},
		{"phases left out", []*Chain{chain("A", Established, Default)}, ""},
		{"chains each begin anew", []*Chain{chain("A", Accept, Default), chain("B", Established, Deny)}, ""},
		{"deny behind accept", []*Chain{chain("A", Established, Accept, Deny)}, `chain A: "dockerfw accept b" of phase accept stands before "dockerfw deny c" of phase deny`},
		{"the first of two", []*Chain{chain("A", Default, Accept, Deny)}, `"dockerfw default a" of phase default stands before "dockerfw accept b" of phase accept`},
		{"in the second chain", []*Chain{chain("A", Deny), chain("B", Default, Established)}, `chain B: "dockerfw default a"`},
		{"default behind egress", []*Chain{chain("A", Egress, Default)}, `"dockerfw egress a" of phase egress stands before "dockerfw default b"`},
		{"far apart", []*Chain{chain("A", Deny, Accept, Accept, Accept, Deny)}, `"dockerfw accept d" of phase accept stands before "dockerfw deny e"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&Program{Chains: c.chains}).CheckOrder()
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && err == nil:
				t.Errorf("taken; want an error with %q", c.want)
			case err != nil && !strings.Contains(err.Error(), c.want):
				t.Errorf("got %q, want %q", err, c.want)
			}
		})
	}
}

func TestCheckOrderReturnsBothRules(t *testing.T) {
	c := chain("A", Deny, Established)
	err := (&Program{Chains: []*Chain{c}}).CheckOrder()
	if err == nil || err.First != c.Rules[0] || err.Second != c.Rules[1] || err.Chain != "A" {
		t.Errorf("%+v", err)
	}
}

func TestTerminal(t *testing.T) {
	for _, v := range []Verdict{AcceptPacket{}, Return{}, Drop{}, Reject{}} {
		if !Terminal(v) {
			t.Errorf("%T goes on", v)
		}
	}
	for _, v := range []Verdict{JumpTo{}, Log{}, NFLog{}} {
		if Terminal(v) {
			t.Errorf("%T ends", v)
		}
	}
}

// Comments tell in the kernel which rule of the policy a rule is; 255 bytes are kept.
func TestComments(t *testing.T) {
	long := strings.Repeat("n", 120) // the longest name a policy may give
	for _, c := range []struct {
		rule Rule
		want string
	}{
		{Rule{Phase: Established}, "dockerfw established"},
		{Rule{Phase: Deny, Origin: Origin{Name: "bad"}}, "dockerfw deny bad"},
		{Rule{Phase: Default}, "dockerfw default"},
		{Rule{Phase: Egress, Origin: Origin{Name: long}}, "dockerfw egress " + long},
	} {
		if got := c.rule.Comment(); got != c.want || len(got) > 255 {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
