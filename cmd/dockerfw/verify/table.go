package verify

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// ofTable reports whether the rules are those of target nftables.
func ofTable(h *hosts) bool { return h.want.NFTables() }

// tableRead reports whether they are, and the host has the table.
func tableRead(h *hosts) bool { return ofTable(h) && h.have.NFTables() }

// both is a check that needs two things.
func both(a, b func(*hosts) bool) func(*hosts) bool {
	return func(h *hosts) bool { return a(h) && b(h) }
}

func not(a func(*hosts) bool) func(*hosts) bool { return func(h *hosts) bool { return !a(h) } }

// tableRules compares the chains of the table with those that were compiled: the hooks of base chains,
// and the rules of dockerfw in each chain.
func tableRules(h *hosts) (result, error) {
	want, have := h.want.Table(), h.have.Table()
	switch {
	case have == nil && h.have.NFT == nil && h.have.NFTUnread != "":
		return failed("the tables of nft were not read: %s", h.have.NFTUnread)
	case have == nil && h.have.NFT == nil:
		return failed("%s has no output of nft list ruleset", h.have.Name)
	case have == nil:
		return failed("%s is missing. %s", snapshot.TableTitle, loadAgain)
	case have.Dormant:
		return failed("%s is dormant: the kernel ignores its rules. %s", snapshot.TableTitle, loadAgain)
	}
	total := 0
	var names, faults []string
	for _, c := range want.Chains {
		names = append(names, c.Name)
		total += len(c.Rules)
		there := have.Chain(c.Name)
		switch {
		case there == nil:
			faults = append(faults, "chain "+c.Name+" is missing")
			continue
		case c.HookText() != there.HookText():
			faults = append(faults, fmt.Sprintf("chain %s has %s instead of %s", c.Name, there.HookText(), c.HookText()))
		}
		if text := chainDifference(c, there); text != "" {
			faults = append(faults, "chain "+c.Name+" "+text)
		}
	}
	if len(faults) > 0 {
		return failed("%s", strings.Join(faults, "; "))
	}
	return ok("%s, complete and in order, in %s of %s", words.Count(total, "rule"), words.List(names, chainsShown), snapshot.TableTitle)
}

// chainDifference describes how the rules of dockerfw in a chain differ from those that were compiled; ""
// if they do not.
func chainDifference(want, have *nft.Chain) string {
	a, b := &ruleTexts{}, &ruleTexts{}
	compiled := map[string]bool{}
	for _, r := range want.Rules {
		a.add(r)
		compiled[ruleKey(r)] = true
	}
	for _, r := range have.Rules {
		if ir.IsComment(r.Comment) || compiled[ruleKey(r)] {
			b.add(r)
		}
	}
	switch {
	case slices.Equal(a.keys, b.keys):
		return ""
	case slices.Equal(a.texts, b.texts):
		return difference(a.keys, b.keys)
	}
	return difference(a.texts, b.texts)
}

// ruleTexts are rules for people, and as keys that are the same for the same rules only.
type ruleTexts struct{ texts, keys []string }

func (t *ruleTexts) add(r *nft.Rule) {
	t.texts, t.keys = append(t.texts, r.Text()), append(t.keys, ruleKey(r))
}

// ruleKey is the text of all expressions of a rule.
func ruleKey(r *nft.Rule) string {
	var out strings.Builder
	for _, e := range r.Expr {
		text, _ := json.Marshal(e.Body) // what was read from JSON
		out.WriteString(e.Kind + " " + string(text) + " ")
	}
	return out.String() + "comment " + r.Comment
}

// tableOrder checks the insertion-order invariant on the rules of dockerfw that the table has.
func tableOrder(h *hosts) (result, error) {
	for _, c := range h.have.Table().Chains {
		var ids []ir.RuleID
		for _, r := range c.Rules {
			if !ir.IsComment(r.Comment) {
				continue
			}
			id, known := ir.ParseComment(r.Comment)
			if !known {
				return failed("chain %s: %s: the comment is not one of dockerfw's", c.Name, r.Text())
			}
			ids = append(ids, id)
		}
		if err := ir.CheckOrder(ids); err != nil {
			return failed("chain %s: %v", c.Name, err)
		}
	}
	return ok("established, deny, accept, default")
}

// tableForeign looks for what dockerfw did not compile in the table.
func tableForeign(h *hosts) (result, error) {
	want, have := h.want.Table(), h.have.Table()
	var found []string
	for _, c := range have.Chains {
		if want.Chain(c.Name) == nil {
			found = append(found, fmt.Sprintf("chain %s with %s", c.Name, words.Count(len(c.Rules), "rule")))
		}
	}
	for _, r := range h.want.ForeignInTable(h.have) {
		if want.Chain(r.Chain) != nil {
			found = append(found, fmt.Sprintf("in chain %s the rule %s", r.Chain, r.Text()))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have.Sets)) {
		if want.Sets[name] == nil {
			kind := "set "
			if have.Sets[name].Map {
				kind = "map "
			}
			found = append(found, kind+name)
		}
	}
	if len(found) > 0 {
		return failed("%s contains what was not compiled: %s. Loading would delete it: move foreign rules to a table of their own", snapshot.TableTitle, words.List(found, chainsShown))
	}
	return ok("nothing foreign in %s", snapshot.TableTitle)
}

// tableSets compares the sets of the table with those that were compiled.
func tableSets(h *hosts) (result, error) {
	want, have := h.want.Table(), h.have.Table()
	if len(want.Sets) == 0 {
		return nothing("the policy has no sets")
	}
	var faults []string
	unlisted := 0
	for _, name := range slices.Sorted(maps.Keys(want.Sets)) {
		w, there := want.Sets[name], have.Sets[name]
		called := identity.SetOfTable(name)
		switch {
		case there == nil:
			faults = append(faults, called+otherSet(have, name))
		case w.Type != there.Type || !slices.Equal(w.Flags, there.Flags):
			faults = append(faults, fmt.Sprintf("%s is of type %s with flags %s instead of %s with %s", called, there.Type, flags(there), w.Type, flags(w)))
		case w.Dynamic() || h.want.Unmanaged[called]:
		case h.have.NotListed[name]:
			unlisted++
		default:
			if text := elementsFault(called, addresses(called, w), addresses(called, there)); text != "" {
				faults = append(faults, text)
			} else if len(there.Elem) > 0 {
				faults = append(faults, called+" has elements that are not plain addresses")
			}
		}
	}
	if len(faults) > 0 {
		return failed("%s", strings.Join(faults, "; "))
	}
	text := words.Count(len(want.Sets), "set") + ", with the compiled entries"
	if unlisted > 0 {
		text += fmt.Sprintf("; of those with over %s, which nft lists slowly, the name was compared, which has the digest of the entries (%d)", words.Count(plan.LargeSet, "entry"), unlisted)
	}
	return ok("%s", text)
}

// otherSet is what is known of a set that is missing by its name.
func otherSet(have *nft.Table, name string) string {
	for _, other := range slices.Sorted(maps.Keys(have.Sets)) {
		if identity.SetOfTable(other) == identity.SetOfTable(name) && identity.NamedByContent(name) {
			return fmt.Sprintf(" is of another version: %s instead of %s", other, name)
		}
	}
	return " is missing"
}

func flags(s *nft.Set) string {
	if len(s.Flags) == 0 {
		return "none"
	}
	return strings.Join(s.Flags, ",")
}

func addresses(name string, s *nft.Set) *packet.AddrSet {
	var b packet.AddrSetBuilder
	for first, last := range s.Addresses.All() {
		b.AddRange(first, last)
	}
	return b.Set(name)
}

// leftOverRules is a rule or chain of dockerfw in the tables of iptables; "" for none. Target iptables
// has left it.
func leftOverRules(h *hosts, f ir.Family) string {
	if h.have.Rules[f] == nil {
		return ""
	}
	for _, t := range h.have.Rules[f].Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if identity.IsOwnChain(c.Name) || identity.Ours(r) {
					return fmt.Sprintf("%s -t %s -A %s %s", h.have.Tool(f), t.Name, c.Name, r.Text)
				}
			}
		}
	}
	return ""
}

// leftOvers checks that the tables of iptables have no rules of dockerfw: those of target iptables, which
// packets would traverse as well.
func leftOvers(h *hosts) (result, error) {
	var read bool
	for _, f := range h.have.Families() {
		read = true
		if rule := leftOverRules(h, f); rule != "" {
			return failed("the tables of iptables have rules of dockerfw too, such as %s: they are left over from target iptables, and packets traverse both. %s, which removes them", rule, loadAgain)
		}
		if !live(h) {
			continue
		}
		rule, err := leftOver(h, f)
		if err != nil {
			return result{}, err
		}
		if rule != "" {
			return failed("%s-%s has rules of Docker or dockerfw that are left over, such as %s: packets traverse them too. Delete them if Docker does not use %[1]s-%[2]s", snapshot.IPTables(f), h.have.Backend.Other(), rule)
		}
	}
	if !read {
		return nothing("no tables of iptables were read")
	}
	return ok("no rules of dockerfw in the tables of iptables")
}

// hasOtherTable reports whether a host of target iptables has the table of target nftables.
func hasOtherTable(h *hosts) bool { return !ofTable(h) && h.have.NFTables() }

// tableLeftOver reports the table of target nftables on a host of target iptables.
func tableLeftOver(*hosts) (result, error) {
	return failed("%s is left over from target nftables, and packets traverse its rules too. %s, which deletes it, or: nft delete %[1]s", snapshot.TableTitle, loadAgain)
}
