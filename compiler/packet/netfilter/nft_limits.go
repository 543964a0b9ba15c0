package netfilter

import (
	"maps"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// NFTLimit is a limit of a rule: a statement limit or ct count.
type NFTLimit struct {
	nft.Expr
	// Key is what has a count of its own, such as "ip saddr", and Set the set of the counts; both
	// are "" for a limit of all packets.
	Key, Set string
}

// limit returns the condition of a limit. "over" is the negation: the kernel counts in the same way
// and inverts the result (nft_limit.c, nft_connlimit.c). Equal limits are the same condition, as
// those of iptables are: see limits.go. The name of the set is part of it only if other rules count
// in that set.
func (n *nftReader) limit(r *nft.Rule, l NFTLimit) packet.Cond {
	if n.sets.limit != nil {
		if c := n.sets.limit(r, l); c != nil {
			return c
		}
	}
	body, ok := l.Body.(map[string]any)
	if !ok {
		return n.once(l.Text()) // an object of the table, which has a name
	}
	over := body["inv"] == true
	if over {
		body = maps.Clone(body)
		delete(body, "inv")
	}
	text := strings.TrimSpace(l.Key + " " + nft.Expr{Kind: l.Kind, Body: body}.Text())
	if l.Set != "" && n.counting("@"+l.Set) > 1 {
		text += " in set " + l.Set
	}
	c := packet.Cond(packet.Opaque{Text: text, Stateful: true})
	if over {
		c = packet.Not{C: c}
	}
	return c
}

// setLimits reads add @NAME { KEY LIMITS } and update, which match if all limits do.
func (n *nftReader) setLimits(r *nft.Rule, e nft.Expr) packet.Cond {
	body, _ := e.Body.(map[string]any)
	name, _ := body["set"].(string)
	stmts, _ := body["stmt"].([]any)
	key := unwrap(body["elem"])
	all := append(packet.All{}, n.keyGuard(key)...)
	if len(stmts) == 0 || body["op"] == "delete" {
		return append(all, n.once(e.Text()))
	}
	for _, s := range stmts {
		m, _ := s.(map[string]any)
		for kind, x := range m {
			switch kind {
			case "limit", "ct count":
				all = append(all, n.limit(r, NFTLimit{nft.Expr{Kind: kind, Body: x}, nft.Value(key), strings.TrimPrefix(name, "@")}))
			case "counter":
			default:
				all = append(all, n.once(e.Text()))
			}
		}
	}
	return all
}

// keyGuard returns the conditions without which a packet does not have a key, which may have a
// mask.
func (n *nftReader) keyGuard(key any) []packet.Cond {
	m, _ := key.(map[string]any)
	if masked, ok := m["&"].([]any); ok && len(masked) == 2 {
		key = masked[0]
	}
	return n.field(key).guard
}

// counting returns the number of rules of the table that count in a set.
func (n *nftReader) counting(set string) int {
	if n.counters == nil {
		n.counters = map[string]int{}
		for _, c := range n.table.Chains {
			for _, r := range c.Rules {
				for _, e := range r.Expr {
					if body, _ := e.Body.(map[string]any); e.Kind == "set" {
						name, _ := body["set"].(string)
						n.counters[name]++
					}
				}
			}
		}
	}
	return n.counters[set]
}
