package diff

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// joinPaths joins what changes where docker-proxy answers to what changes for the
// same senders by the same rules where packets are forwarded: it is one change of
// the policy, and is said once.
func (c *comparison) joinPaths(f ir.Family) {
	var out []Change
	for _, change := range c.report.Changes {
		if change.Path == Guarded && change.Families[0] == f {
			i := slices.IndexFunc(out, func(o Change) bool {
				return o.Path == Forwarded && o.Families[0] == f && sameForProxy(&o, &change)
			})
			if i >= 0 {
				out[i].Proxy = append(out[i].Proxy, change.to...)
				continue
			}
		}
		out = append(out, change)
	}
	c.report.Changes = out
}

func sameForProxy(forwarded, proxy *Change) bool {
	sameRules := func(a, b []Rule) bool { return sideNames(a) == sideNames(b) }
	old, now := sameRules(forwarded.OldRules, proxy.OldRules), sameRules(forwarded.NewRules, proxy.NewRules)
	because := old && now || old && explicit(proxy.OldRules) || now && explicit(proxy.NewRules)
	return because && forwarded.Effect == proxy.Effect && len(proxy.who) > 0 &&
		slices.Equal(forwarded.who, proxy.who) && slices.Equal(forwarded.Conditions, proxy.Conditions)
}

// sideNames names the rules of one side; the ends of all chains are alike.
func sideNames(rules []Rule) string {
	var out []string
	for _, r := range rules {
		name, _, _ := strings.Cut(r.Name, noRule+" (")
		out = append(out, name)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

func explicit(rules []Rule) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.explicit })
}
