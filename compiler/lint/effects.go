package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/diag"
)

// outcome is what a rule amounts to everywhere.
type outcome int

const (
	// effective: on some host it changes what happens to packets.
	effective outcome = iota
	// impossible: no packet satisfies its conditions.
	impossible
	// allDenied: an accept all of whose packets denies match first.
	allDenied
	// unreachable: other rules match all of its packets first.
	unreachable
	// unneeded: without it every packet would get the same verdict.
	unneeded
	// admittedAnyway: an accept all of whose packets would get in without it.
	admittedAnyway
)

func (r *ruleEvidence) outcome() outcome {
	logs := r.rule.Log != nil
	publishes := len(r.rule.PublishedPorts)+len(r.rule.PublishedAddress) > 0 || r.toHost
	switch {
	case !r.possible:
		return impossible
	case !r.reached && r.rule.Kind == parser.KindAccept && r.coveredByDenies():
		return allDenied
	case !r.reached:
		return unreachable
	case !r.changes && !logs:
		return unneeded
	// Without published ports it is for packets that Docker's own rules refuse. For an
	// interface that is not external there is the warning not-external.
	case !r.admits && !r.notExternal && r.rule.Kind == parser.KindAccept && !logs && publishes:
		return admittedAnyway
	}
	return effective
}

func (r *ruleEvidence) coveredByDenies() bool {
	return len(r.coveredBy) > 0 && !slices.ContainsFunc(r.coveredBy, func(o *parser.Rule) bool { return o.Kind != parser.KindDeny })
}

// title is the rule as the policy writes it: accept "https".
func title(r *parser.Rule) string { return fmt.Sprintf("%s %q", r.Kind, r.Name.Value) }

func (r *ruleEvidence) finding(summary, detail string, related ...diag.Related) []finding {
	return []finding{{r.rule.Name.Range, summary, detail, related}}
}

func neverMatches(r *ruleEvidence) []finding {
	if r.outcome() != impossible || r.unfilled {
		return nil
	}
	return r.finding(title(r.rule)+" never matches",
		"Its conditions exclude each other. Look for an address of one family beside a protocol of the other, and for sets without entries.")
}

func covered(r *ruleEvidence) []finding {
	if r.outcome() != unreachable {
		return nil
	}
	return r.finding(title(r.rule)+" is unreachable",
		"Rules before it match all of its packets. Remove it, or narrow those rules."+r.protectedPortsNote(), r.coveringRules()...)
}

func denied(r *ruleEvidence) []finding {
	if r.outcome() != allDenied {
		return nil
	}
	return r.finding(title(r.rule)+" is unreachable: all of its packets are denied",
		"Deny rules are evaluated before accept rules. "+r.undeny()+r.protectedPortsNote(), r.coveringRules()...)
}

// coveringRules lists the rules that match the packets of an unreachable one.
func (r *ruleEvidence) coveringRules() []diag.Related {
	rules := slices.Clone(r.coveredBy)
	slices.SortFunc(rules, func(a, b *parser.Rule) int {
		return cmp.Or(strings.Compare(a.DeclRange.Filename, b.DeclRange.Filename), cmp.Compare(a.DeclRange.Start.Byte, b.DeclRange.Start.Byte))
	})
	const shown = 4
	var out []diag.Related
	for i, by := range rules {
		if i == shown {
			return append(out, diag.Related{Message: fmt.Sprintf("and %d more", len(rules)-shown), Range: by.Name.Range})
		}
		out = append(out, diag.Related{Message: title(by) + " matches its packets first", Range: by.Name.Range})
	}
	return out
}

func redundant(r *ruleEvidence) []finding {
	if r.outcome() != unneeded {
		return nil
	}
	return r.finding(title(r.rule)+" is redundant",
		"Rules after it give all of its packets the same verdict. Remove it, or change its conditions."+r.protectedPortsNote())
}

func allowedAnyway(r *ruleEvidence) []finding {
	if r.outcome() != admittedAnyway {
		return nil
	}
	rest := "Docker's rules"
	if r.toHost {
		rest = "the host's own rules"
	}
	why, remedy := "other rules already admit its clients", "Remove it, or narrow the rules that accept the same packets."
	switch {
	case r.defaultReturns:
		why, remedy = "default already admits everyone", `Remove it, or set action = "drop" in default to refuse all other clients.`
	case r.defaultAllows:
		why, remedy = "default.allow already admits its clients", "Remove it, or remove its clients from default.allow if they should reach no other ports."
	}
	return r.finding(title(r.rule)+" has no effect: "+why,
		"Without it, other rules would accept the same packets, or default would leave them to "+rest+". "+remedy+r.protectedPortsNote())
}

// coveredValues finds values without effect in the attributes of an effective rule.
func coveredValues(r *ruleEvidence) []finding {
	if r.outcome() != effective {
		return nil
	}
	var out []finding
	for _, v := range r.values {
		if !v.reached {
			out = append(out, finding{
				place: v.place, summary: fmt.Sprintf("%s of %s has no effect", v.text, title(r.rule)),
				detail: "Rules before this one, or its own other conditions, exclude all packets that the value would match. Remove the value; dockerfw explain shows the rule that matches its packets.",
			})
		}
	}
	return out
}

// partlyDenied finds accepts for listed clients of which a deny for more than those
// refuses some: an office inside a blocked country. A deny for some of the accept's own
// clients is an exception made on purpose.
func partlyDenied(r *ruleEvidence) []finding {
	if !r.reached || r.rule.Source == nil || r.rule.Kind != parser.KindAccept {
		return nil
	}
	var out []finding
	for _, d := range r.denials {
		if !d.wider || d.deny.Source == nil && d.deny.SourceNot == nil {
			continue
		}
		out = append(out, finding{
			place: r.rule.Name.Range, summary: fmt.Sprintf("some clients of %s are denied", title(r.rule)),
			detail:  fmt.Sprintf("Deny rules are evaluated before accept rules. %s refuses %s. %s", title(d.deny), clientsText(d.clients), exception(d)),
			related: []diag.Related{{Message: title(d.deny) + " refuses them", Range: d.deny.Name.Range}},
		})
	}
	return out
}

// undeny is the advice for an accept whose packets are all denied.
func (r *ruleEvidence) undeny() string {
	var parts []string
	for _, d := range r.denials {
		if r.rule.Source == nil || d.deny.Source == nil && d.deny.SourceNot == nil {
			return "Remove the accept, or narrow or remove the deny."
		}
		parts = append(parts, exception(d))
	}
	return strings.Join(parts, " ") + " Or remove the accept."
}

// exception is the advice to exclude the clients of an accept from a deny.
func exception(d *denial) string {
	const shown = 4
	var words []string
	for i, p := range d.clients.Prefixes(0) {
		if i == shown {
			words = append(words, "…")
			break
		}
		words = append(words, fmt.Sprintf("%q", addressText(p)))
	}
	list := strings.Join(words, ", ")
	if d.deny.SourceNot != nil {
		return fmt.Sprintf("To admit these clients, add %s to source_not of %s.", list, title(d.deny))
	}
	return fmt.Sprintf("To admit these clients, add source_not = [%s] to %s.", list, title(d.deny))
}

func clientsText(clients *packet.AddrSet) string {
	const shown = 4
	prefixes := clients.Prefixes(0)
	var words []string
	for _, p := range prefixes[:min(shown, len(prefixes))] {
		words = append(words, addressText(p))
	}
	text := strings.Join(words, ", ")
	if n := len(prefixes) - shown; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}
