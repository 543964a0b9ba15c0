package diff

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// joinPaths joins a change at docker-proxy to the change of forwarded packets that has the
// same clients and the same rules: both are one change of the policy.
func (c *comparison) joinPaths(f ir.Family) {
	var out []Change
	for _, change := range c.report.Changes {
		if change.Path == ToProxy && change.Families[0] == f {
			i := slices.IndexFunc(out, func(o Change) bool {
				return o.Path == Forwarded && o.Families[0] == f && sameForProxy(&o, &change)
			})
			if i >= 0 {
				out[i].Proxy = append(out[i].Proxy, change.Packets.destinations()...)
				continue
			}
		}
		out = append(out, change)
	}
	c.report.Changes = out
}

func sameForProxy(forwarded, proxy *Change) bool {
	old, now := sideNames(forwarded.OldRules) == sideNames(proxy.OldRules), sideNames(forwarded.NewRules) == sideNames(proxy.NewRules)
	because := old && now || old && explicit(proxy.OldRules) || now && explicit(proxy.NewRules)
	return because && forwarded.Effect == proxy.Effect && forwarded.Packets.sameClients(proxy.Packets) &&
		slices.Equal(forwarded.Conditions, proxy.Conditions)
}

// sideNames joins the names of the rules of one side; the ends of all chains count as one.
func sideNames(rules []Rule) string {
	var out []string
	for _, r := range rules {
		name, _, _ := strings.Cut(r.Name, noRule+" (")
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

// joinFamilies joins changes of the two families that have the same packets and the same
// reason. It puts widened ones first.
func joinFamilies(changes []Change) []Change {
	rank := map[Effect]int{Widened: 0, Changed: 1, Narrowed: 2}
	slices.SortStableFunc(changes, func(a, b Change) int { return rank[a.Effect] - rank[b.Effect] })
	var out []Change
	for _, change := range changes {
		i := slices.IndexFunc(out, func(o Change) bool {
			return !slices.Contains(o.Families, change.Families[0]) && sameButFamily(&o, &change)
		})
		if i < 0 {
			out = append(out, change)
			continue
		}
		o := &out[i]
		o.Families = append(o.Families, change.Families...)
		o.StillOpen = cmp.Or(o.StillOpen, change.StillOpen)
		for _, r := range change.OldRules {
			o.OldRules = addRule(o.OldRules, r)
		}
		for _, r := range change.NewRules {
			o.NewRules = addRule(o.NewRules, r)
		}
		o.Old, o.New = addVerdicts(o.Old, change.Old), addVerdicts(o.New, change.New)
	}
	return out
}

func sameButFamily(a, b *Change) bool {
	sentences := func(c *Change) string {
		text := strings.Join(whole.description(c.Packets), "\n") + "\n" + whole.destinations(c.Proxy)
		return strings.ReplaceAll(text, "-v6", "") // the suffix of the sets for IPv6
	}
	return a.Path == b.Path && a.Effect == b.Effect && sentences(a) == sentences(b) && slices.Equal(a.Conditions, b.Conditions) &&
		(ruleNames(a.OldRules) == ruleNames(b.OldRules) || ruleNames(a.NewRules) == ruleNames(b.NewRules))
}

func ruleNames(rules []Rule) string {
	var out []string
	for _, r := range rules {
		out = append(out, r.Name)
	}
	return strings.Join(out, ", ")
}

func addRule(all []Rule, r Rule) []Rule {
	if slices.ContainsFunc(all, func(o Rule) bool { return o.Name == r.Name }) {
		return all
	}
	return append(all, r)
}

// addVerdicts adds verdicts, except those that are the other family's spelling of one that
// is there.
func addVerdicts(all, more []packet.Verdict) []packet.Verdict {
	for _, v := range more {
		if !slices.ContainsFunc(all, func(o packet.Verdict) bool { return ipv4Spelling(o) == ipv4Spelling(v) }) {
			all = append(all, v)
		}
	}
	return all
}

// ipv4Spelling of a reject: ip6tables has icmp6-adm-prohibited for icmp-admin-prohibited.
func ipv4Spelling(v packet.Verdict) packet.Verdict {
	if with, ok := strings.CutPrefix(v.With, "icmp6-"); ok {
		v.With = "icmp-" + strings.Replace(with, "adm-", "admin-", 1)
	}
	return v
}
