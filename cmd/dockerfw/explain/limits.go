package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
)

// limit is the rate or connections block of a rule of dockerfw, or the end of any rule. The
// rules know it as a condition that holds or not, whatever the packet is.
type limit struct {
	// rule is the block that has it, and who is counted.
	rule, who string
	// within and exceeded follow who, in a sentence.
	within, exceeded string
	// above is set if the condition holds above the limit.
	above bool
	// until is set if it is an end.
	until packet.Until
}

// limits finds the conditions of the rules of dockerfw that are limits, by their text.
func (e *explainer) limits() map[string]limit {
	out := map[string]limit{}
	for _, h := range e.hooks {
		for _, c := range h.Program.Chains {
			for _, r := range c.Rules {
				for _, m := range r.Matches {
					if end, ok := m.(packet.Until); ok && r.At.Chain != "" && out[end.String()].rule == "" {
						out[end.String()] = e.end(end, r.At)
					}
					o, ok := m.(packet.Opaque)
					if !ok {
						continue
					}
					rule := e.state.RuleAt(e.family, r.At)
					if l, ok := parseLimit(o.Text); ok && rule.Ours() {
						l.rule = rule.Block()
						out[o.Text] = l
					}
				}
			}
		}
	}
	return out
}

// end is the end of rules as a limit, which is exceeded after it. Rules with the same end share
// its condition: it is named after the first of them.
func (e *explainer) end(end packet.Until, at packet.Origin) limit {
	before, _ := packet.UntilText(end.String(), true)
	after, _ := packet.UntilText(end.String(), false)
	l := limit{rule: "a rule of " + at.Chain, who: "it", within: "has not ended (" + before + ")", exceeded: "has ended (" + after + ")", until: end}
	if rule := e.state.RuleAt(e.family, at); rule.Ours() {
		l.rule = rule.Block()
	}
	return l
}

// possible reports whether conditions can hold or not together: before one end it is also
// before all later ones.
func (a *Answer) possible(known map[string]bool) bool {
	for early, before := range known {
		for late, stillBefore := range known {
			x, y := a.limits[early].until.End, a.limits[late].until.End
			if before && !stillBefore && 0 < x && x < y {
				return false
			}
		}
	}
	return true
}

var units = map[string]string{"sec": "second", "min": "minute"}

// parseLimit reads the text of a match of hashlimit or connlimit as dockerfw writes it.
func parseLimit(text string) (l limit, ok bool) {
	words := strings.Fields(text)
	value := func(option string) string {
		if i := slices.Index(words, option); i >= 0 && i+1 < len(words) {
			return words[i+1]
		}
		return ""
	}
	if len(words) < 3 {
		return l, false
	}
	l.above = strings.HasSuffix(words[1], "-above")
	switch words[1] {
	case "--hashlimit-upto", "--hashlimit-above":
		count, unit, _ := strings.Cut(words[2], "/")
		if full, short := units[unit]; short {
			unit = full
		}
		rate := "the rate " + count + "/" + unit
		if value("--hashlimit-mode") == "srcip" {
			l.who, l.within, l.exceeded = "the client", "stays within "+rate, "exceeds "+rate
		} else {
			l.who, l.within, l.exceeded = "all clients together", "stay within "+rate, "exceed "+rate
		}
	case "--connlimit-upto", "--connlimit-above":
		l.who = "the client"
		if mask := value("--connlimit-mask"); mask != "" && mask != "32" && mask != "128" {
			l.who = "the client's /" + mask + " network"
		}
		l.within, l.exceeded = fmt.Sprintf("has at most %s open connections", words[2]), fmt.Sprintf("has more than %s open connections", words[2])
	default:
		return l, false
	}
	return l, true
}

// state is the limit in words, where the condition holds or does not.
func (l limit) state(holds bool) string {
	if holds == l.above {
		return l.who + " " + l.exceeded
	}
	return l.who + " " + l.within
}

// exceeds counts the limits that are exceeded in a case.
func (a *Answer) exceeds(c Case) int {
	n := 0
	for _, text := range c.Holds {
		if l, ok := a.limits[text]; ok && l.above {
			n++
		}
	}
	for _, text := range c.Fails {
		if l, ok := a.limits[text]; ok && !l.above {
			n++
		}
	}
	return n
}

// usualFirst sorts the cases: those in which no limit is exceeded come first.
func (a *Answer) usualFirst() {
	slices.SortStableFunc(a.Cases, func(x, y Case) int { return a.exceeds(x) - a.exceeds(y) })
}

// condition is a condition of a case in words.
func (a *Answer) condition(text string, holds bool) string {
	if l, ok := a.limits[text]; ok && l.until.End != 0 {
		return l.rule + strings.TrimPrefix(l.state(holds), l.who)
	} else if ok {
		return l.state(holds) + " of " + l.rule
	}
	if holds {
		return "[" + text + "] matches"
	}
	return "[" + text + "] does not match"
}

// why is the reason why a rule does not match, in words where it is a limit.
func (a *Answer) why(failed packet.Cond, p *packet.Packet) string {
	if end, ok := failed.(packet.Until); ok && a.limits[end.String()].rule != "" {
		return a.limits[end.String()].state(false)
	}
	if o, ok := failed.(packet.Opaque); ok {
		if l, ok := a.limits[o.Text]; ok {
			return l.state(false)
		}
	}
	return why(failed, p)
}
