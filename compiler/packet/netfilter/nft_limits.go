package netfilter

import (
	"maps"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// limit returns the condition of limit and ct count. "over" is the negation: the kernel counts in
// the same way and inverts the result (nft_limit.c, nft_connlimit.c). Equal limits are the same
// condition, as those of iptables are: see limits.go.
func (n *nftReader) limit(r *nft.Rule, e nft.Expr) packet.Cond { return n.limitWith(r, e, "", "") }

// limitWith returns the condition of a limit for each key, in a named set or not.
func (n *nftReader) limitWith(r *nft.Rule, e nft.Expr, key, set string) packet.Cond {
	if n.sets.limit != nil {
		return n.sets.limit(r, e.Kind)
	}
	body, ok := e.Body.(map[string]any)
	if !ok {
		return n.once(e.Text()) // an object of the table, which has a name
	}
	over := body["inv"] == true
	if over {
		body = maps.Clone(body)
		delete(body, "inv")
	}
	text := strings.TrimSpace(key + " " + nft.Expr{Kind: e.Kind, Body: body}.Text())
	if set != "" {
		text += " in set " + set
	}
	c := packet.Cond(packet.Opaque{Text: text, Stateful: true})
	if over {
		c = packet.Not{C: c}
	}
	return c
}

// setLimits reads add @NAME { KEY LIMITS } and update, which match if all limits do. The name of
// the set is part of the condition only if other rules count in it.
func (n *nftReader) setLimits(r *nft.Rule, e nft.Expr) packet.Cond {
	body, _ := e.Body.(map[string]any)
	name, _ := body["set"].(string)
	stmts, _ := body["stmt"].([]any)
	key := unwrap(body["elem"])
	all := append(packet.All{}, n.keyGuard(key)...)
	if len(stmts) == 0 || body["op"] == "delete" {
		return append(all, n.once(e.Text()))
	}
	shared := ""
	if n.counting(name) > 1 {
		shared = strings.TrimPrefix(name, "@")
	}
	for _, s := range stmts {
		m, _ := s.(map[string]any)
		for kind, x := range m {
			switch kind {
			case "limit", "ct count":
				all = append(all, n.limitWith(r, nft.Expr{Kind: kind, Body: x}, nft.Value(key), shared))
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
