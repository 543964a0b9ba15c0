package netfilter

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// NFTTableName returns the name of a table of nft in hooks and origins, such as "nft inet
// firewalld". No table of iptables has a space in its name.
func NFTTableName(t *nft.Table) string { return "nft " + t.Family + " " + t.Name }

// NFTProgram returns the program of a base chain of an nft table, for packets of a family.
// An accept ends this base chain only, as it does for a table of iptables.
func NFTProgram(t *nft.Table, start *nft.Chain, f ir.Family) *packet.Program {
	return NewNFTSets(t).Program(start, f)
}

func nftProgram(sets *NFTSets, start *nft.Chain, f ir.Family) *packet.Program {
	t := sets.table
	p := &packet.Program{Family: f, Default: packet.Verdict{Kind: packet.Accept}}
	if start.Policy == "drop" {
		p.Default = packet.Verdict{Kind: packet.Drop}
	}
	byName := make(map[string]*nft.Chain, len(t.Chains))
	for _, c := range t.Chains {
		byName[c.Name] = c
	}
	n := &nftReader{table: t, sets: sets, family: f, chains: byName}
	seen := map[string]bool{start.Name: true}
	for todo := []*nft.Chain{start}; len(todo) > 0; todo = todo[1:] {
		c := todo[0]
		chain := &packet.Chain{Name: c.Name}
		for i, r := range c.Rules {
			n.at = packet.Origin{Table: NFTTableName(t), Chain: c.Name, Rule: i}
			n.handle = r.Handle
			chain.Rules = append(chain.Rules, n.rule(r)...)
		}
		p.Chains = append(p.Chains, chain)
		for _, r := range chain.Rules {
			if to := r.Verdict.Chain; to != "" && !seen[to] {
				seen[to] = true
				todo = append(todo, byName[to])
			}
		}
	}
	return p
}

// nftReader reads the rules of one table.
type nftReader struct {
	table  *nft.Table
	sets   *NFTSets
	family ir.Family
	chains map[string]*nft.Chain
	// at and handle are those of the current rule.
	at     packet.Origin
	handle int
	// counters is the number of rules that count in each set.
	counters map[string]int
}

// rule returns the rules that one rule of nft is equivalent to: one for each verdict that
// it may give.
func (n *nftReader) rule(r *nft.Rule) []*packet.Rule {
	var out []*packet.Rule
	var conds []packet.Cond
	var actions []packet.Action
	text := r.Text()
	add := func(v packet.Verdict, more ...packet.Cond) {
		out = append(out, &packet.Rule{Matches: slices.Concat(conds, more), Verdict: v, Text: text, Actions: actions, At: n.at})
	}
	for i, e := range r.Expr {
		verdict, isVerdict := n.verdict(e.Kind, e.Body)
		condition, isCondition := n.condition(r, e)
		switch {
		case isVerdict && verdict.Kind == packet.Continue:
		case isVerdict:
			var implied []packet.Cond
			if e.Kind == "reject" {
				_, implied = n.reject(e.Body)
			}
			add(verdict, implied...)
			return out
		case isCondition:
			if len(actions) > 0 {
				// The statement takes effect even where this condition does not hold.
				if !slices.ContainsFunc(actions, func(a packet.Action) bool { return a.Kind == packet.Untrack }) {
					actions = []packet.Action{{Kind: packet.LoseMark}}
				}
				add(packet.Verdict{Kind: packet.Continue})
				actions = nil
			}
			conds = append(conds, condition)
		case e.Kind == "vmap":
			for _, v := range n.vmap(e, i == len(r.Expr)-1) {
				add(v.verdict, v.cond)
			}
			return out
		case slices.Contains([]string{"counter", "log", "comment", "dup", "flow", "secmark", "ct helper", "ct timeout", "last"}, e.Kind):
		case e.Kind == "notrack":
			actions = append(actions, packet.Action{Kind: packet.Untrack})
		case e.Kind == "mangle":
			action, ok := n.mangle(e.Body)
			if !ok {
				// It changes the addresses of the packet, or something that is not known
				// here.
				add(packet.Verdict{Kind: packet.Other, With: e.Text()})
				return out
			}
			actions = append(actions, action...)
		default:
			add(packet.Verdict{Kind: packet.Other, With: e.Text()}, n.once(e.Text()))
			conds = append(conds, n.once(e.Text()))
		}
	}
	add(packet.Verdict{Kind: packet.Continue})
	return out
}

// once returns an opaque condition of this rule alone.
func (n *nftReader) once(text string) packet.Cond {
	place := fmt.Sprintf("rule %d", n.at.Rule+1)
	if n.handle != 0 {
		place = fmt.Sprintf("handle %d", n.handle)
	}
	return packet.Opaque{Text: fmt.Sprintf("%s (table %s %s, chain %s, %s)", text, n.table.Family, n.table.Name, n.at.Chain, place), Stateful: true}
}

// condition reads a statement that lets a rule continue or not.
func (n *nftReader) condition(r *nft.Rule, e nft.Expr) (packet.Cond, bool) {
	switch e.Kind {
	case "match":
		return n.match(e), true
	case "limit", "ct count":
		return n.limit(r, NFTLimit{Expr: e}), true
	case "set":
		return n.setLimits(r, e), true
	case "quota", "map", "meter", "socket", "osf", "numgen":
		return n.once(e.Text()), true
	case "xt":
		body, _ := e.Body.(map[string]any)
		if body["type"] == "match" {
			return n.once(e.Text()), true
		}
	}
	return nil, false
}

// verdict reads a statement that ends a rule.
func (n *nftReader) verdict(kind string, body any) (packet.Verdict, bool) {
	b, _ := body.(map[string]any)
	switch kind {
	case "accept":
		return packet.Verdict{Kind: packet.Accept}, true
	case "drop":
		return packet.Verdict{Kind: packet.Drop}, true
	case "return":
		return packet.Verdict{Kind: packet.Return}, true
	case "continue":
		return packet.Verdict{Kind: packet.Continue}, true
	case "jump", "goto":
		to, _ := b["target"].(string)
		if n.chains[to] == nil {
			return packet.Verdict{Kind: packet.Other, With: kind + " " + to}, true
		}
		if kind == "goto" {
			return packet.Verdict{Kind: packet.Goto, Chain: to}, true
		}
		return packet.Verdict{Kind: packet.Jump, Chain: to}, true
	case "reject":
		v, _ := n.reject(body)
		return v, true
	case "snat", "masquerade":
		// It accepts; no later hook matches the new source.
		return packet.Verdict{Kind: packet.Accept}, true
	case "dnat":
		return n.dnat(b), true
	case "redirect", "queue", "tproxy", "synproxy", "fwd":
		return packet.Verdict{Kind: packet.Other, With: nft.Expr{Kind: kind, Body: body}.Text()}, true
	}
	return packet.Verdict{}, false
}

// dnat returns the target as iptables writes it, which is what callers look for.
func (n *nftReader) dnat(b map[string]any) packet.Verdict {
	addr, ok := b["addr"].(string)
	port, hasPort := b["port"].(json.Number)
	switch {
	case !ok || b["port"] != nil && !hasPort:
		return packet.Verdict{Kind: packet.Other, With: nft.Expr{Kind: "dnat", Body: b}.Text()}
	case !hasPort:
		return packet.Verdict{Kind: packet.Other, With: "DNAT --to-destination " + addr}
	case n.family == ir.IPv6:
		addr = "[" + addr + "]"
	}
	return packet.Verdict{Kind: packet.Other, With: "DNAT --to-destination " + addr + ":" + port.String()}
}

// mangle reads a statement that changes a packet or its connection. ok is false if later
// conditions are about what it changes.
func (n *nftReader) mangle(body any) (actions []packet.Action, ok bool) {
	b, _ := body.(map[string]any)
	key, _ := b["key"].(map[string]any)
	what := nft.Value(key)
	switch {
	case what == "meta mark":
		if nft.Value(b["value"]) == "ct mark" {
			return []packet.Action{{Kind: packet.RestoreMark, Value: ^uint32(0), Mask: ^uint32(0)}}, true
		}
		return []packet.Action{markChange(packet.SetMark, what, b["value"])}, true
	case what == "ct mark":
		if nft.Value(b["value"]) == "meta mark" {
			return []packet.Action{{Kind: packet.SaveMark, Value: ^uint32(0), Mask: ^uint32(0)}}, true
		}
		return []packet.Action{markChange(packet.SetConnMark, what, b["value"])}, true
	case key["meta"] != nil, key["ct"] != nil, key["tcp option"] != nil:
		return nil, true
	case slices.Contains([]string{"ip dscp", "ip6 dscp", "ip ttl", "ip6 hoplimit", "ip ecn", "ip6 ecn"}, what):
		return nil, true
	}
	return nil, false
}

// markChange reads VALUE, mark | N, mark & N, mark ^ N and (mark & N) | M. After anything
// else the mark is not known.
func markChange(kind packet.ActionKind, mark string, value any) packet.Action {
	if n, ok := nftNumber(value, 32); ok {
		return packet.Action{Kind: kind, Value: n, Mask: ^uint32(0)}
	}
	op, left, n, ok := nftBinary(value)
	if !ok {
		return packet.Action{Kind: packet.LoseMark}
	}
	if nft.Value(left) == mark {
		switch op {
		case "|":
			return packet.Action{Kind: kind, Value: n, Mask: n}
		case "&":
			return packet.Action{Kind: kind, Value: 0, Mask: ^n}
		}
		return packet.Action{Kind: kind, Value: n, Mask: 0}
	}
	inner, left, m, ok := nftBinary(left)
	if ok && inner == "&" && nft.Value(left) == mark && op != "&" {
		if op == "|" {
			return packet.Action{Kind: kind, Value: n, Mask: ^m | n}
		}
		return packet.Action{Kind: kind, Value: n, Mask: ^m}
	}
	return packet.Action{Kind: packet.LoseMark}
}

// nftBinary reads LEFT op NUMBER.
func nftBinary(v any) (op string, left any, n uint32, ok bool) {
	m, _ := v.(map[string]any)
	for _, op := range []string{"|", "&", "^"} {
		if l, isList := m[op].([]any); isList && len(m) == 1 && len(l) == 2 {
			n, ok := nftNumber(l[1], 32)
			return op, l[0], n, ok
		}
	}
	return "", nil, 0, false
}

type nftVerdict struct {
	cond    packet.Cond
	verdict packet.Verdict
}

// vmap reads a verdict map. A packet without an element goes on with the next rule.
func (n *nftReader) vmap(e nft.Expr, last bool) []nftVerdict {
	body, _ := e.Body.(map[string]any)
	elements, known := n.elements(body["data"])
	field := n.field(body["key"])
	var out []nftVerdict
	var others []packet.Cond
	var rest *packet.Verdict
	for _, x := range elements {
		pair, _ := x.([]any)
		if len(pair) != 2 {
			known = false
			continue
		}
		value, _ := pair[1].(map[string]any)
		verdict := packet.Verdict{Kind: packet.Other, With: nft.Value(pair[1])}
		for kind, body := range value {
			if v, ok := n.verdict(kind, body); ok && len(value) == 1 {
				verdict = v
			}
		}
		if pair[0] == "*" {
			rest = &verdict
			continue
		}
		c, ok := field.one(unwrap(pair[0]))
		if !ok {
			c = n.once(e.Text() + ": " + nft.Value(pair[0]))
		}
		others = append(others, packet.Not{C: c})
		out = append(out, nftVerdict{packet.All(append(slices.Clone(field.guard), c)), verdict})
	}
	if rest != nil {
		out = append(out, nftVerdict{packet.All(append(slices.Clone(field.guard), others...)), *rest})
	}
	if !known || !last {
		out = append(out, nftVerdict{n.once(e.Text()), packet.Verdict{Kind: packet.Other, With: e.Text()}})
	}
	return out
}

// elements returns the elements of a set or map, named or anonymous; known is false if
// packets may change them.
func (n *nftReader) elements(v any) (elements []any, known bool) {
	switch v := v.(type) {
	case string:
		if len(v) > 1 && v[0] == '@' {
			if s := n.table.Sets[v[1:]]; s != nil {
				return s.Elem, !s.Changes && s.Addresses.Len() == 0
			}
		}
		return nil, false
	case map[string]any:
		if l, ok := v["set"].([]any); ok && len(v) == 1 {
			return l, true
		}
		if one, ok := v["set"]; ok && len(v) == 1 {
			return []any{one}, true
		}
	}
	return nil, false
}

// unwrap returns the key of an element without its counter and other attributes.
func unwrap(v any) any {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		if e, ok := m["elem"].(map[string]any); ok {
			return e["val"]
		}
	}
	return v
}
