package packet

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// NFTTable is the name that hooks and origins have for a table of nft, such as
// "nft inet firewalld". No table of iptables has a space in its name.
func NFTTable(t *nft.Table) string { return "nft " + t.Family + " " + t.Name }

// FromNFT returns the program that packets of a family meet in a base chain of an nft
// table. What this package does not model becomes an opaque condition or another target;
// nothing is left out. An accept ends this base chain only, as that of a table of iptables.
func FromNFT(t *nft.Table, start *nft.Chain, f ir.Family) *Program {
	p := &Program{Family: f, Default: Verdict{Kind: Accept}}
	if start.Policy == "drop" {
		p.Default = Verdict{Kind: Drop}
	}
	byName := make(map[string]*nft.Chain, len(t.Chains))
	for _, c := range t.Chains {
		byName[c.Name] = c
	}
	n := &nftReader{table: t, family: f, chains: byName}
	seen := map[string]bool{start.Name: true}
	for todo := []*nft.Chain{start}; len(todo) > 0; todo = todo[1:] {
		c := todo[0]
		chain := &Chain{Name: c.Name}
		for i, r := range c.Rules {
			n.at = Origin{Table: NFTTable(t), Chain: c.Name, Rule: i}
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

// AfterSNAT is the program for packets whose source may have been translated: of conditions
// on it nothing is known.
func (p *Program) AfterSNAT() *Program {
	return p.rewritten(func(c Cond) Cond {
		switch x := c.(type) {
		case Addr:
			if x.End == Source {
				return Opaque{Text: c.String() + " after SNAT"}
			}
		case Port:
			if x.End == Source {
				return Opaque{Text: c.String() + " after SNAT"}
			}
		}
		return c
	})
}

// FirstPackets is the program for a chain of nat which is not where DNAT is: only the first
// packet of a connection meets it. The rule that says so is at rule -1 of the chain.
func (p *Program) FirstPackets(table string) *Program {
	out := p.rewritten(func(c Cond) Cond { return c })
	first := &Rule{Matches: []Cond{Not{Any{State{ir.CTNew}, All{State{ir.CTRelated}, Opaque{Text: firstRelated}}}}}, Verdict: Verdict{Kind: Accept}, Text: "not the first packet of a connection"}
	first.At = Origin{Table: table, Chain: out.Chains[0].Name, Rule: -1}
	out.Chains[0].Rules = append([]*Rule{first}, out.Chains[0].Rules...)
	return out
}

// Refuses tells whether packets may end in the program.
func (p *Program) Refuses() bool {
	if p.Default.Kind != Accept {
		return true
	}
	for _, c := range p.Chains {
		for _, r := range c.Rules {
			if k := r.Verdict.Kind; k == Drop || k == Reject || k == Other {
				return true
			}
		}
	}
	return false
}

// nftReader reads the rules of one table.
type nftReader struct {
	table  *nft.Table
	family ir.Family
	chains map[string]*nft.Chain
	// at and handle are the rule that is read.
	at     Origin
	handle int
}

// rule returns the rules that one of nft stands for: one for each verdict that it may give.
func (n *nftReader) rule(r *nft.Rule) []*Rule {
	var out []*Rule
	var conds []Cond
	var actions []Action
	text := r.Text()
	add := func(v Verdict, more ...Cond) {
		out = append(out, &Rule{Matches: slices.Concat(conds, more), Verdict: v, Text: text, Actions: actions, At: n.at})
	}
	for i, e := range r.Expr {
		verdict, isVerdict := n.verdict(e.Kind, e.Body)
		condition, isCondition := n.condition(e)
		switch {
		case isVerdict && verdict.Kind == Continue:
		case isVerdict:
			add(verdict)
			return out
		case isCondition:
			if len(actions) > 0 {
				// The statement has worked also where this condition does not hold.
				if !slices.ContainsFunc(actions, func(a Action) bool { return a.Kind == Untrack }) {
					actions = []Action{{Kind: LoseMark}}
				}
				add(Verdict{Kind: Continue})
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
			actions = append(actions, Action{Kind: Untrack})
		case e.Kind == "mangle":
			action, ok := n.mangle(e.Body)
			if !ok {
				// It changes the addresses of the packet, or something else that is not known here.
				add(Verdict{Kind: Other, With: e.Text()})
				return out
			}
			actions = append(actions, action...)
		default:
			add(Verdict{Kind: Other, With: e.Text()}, n.once(e.Text()))
			conds = append(conds, n.once(e.Text()))
		}
	}
	add(Verdict{Kind: Continue})
	return out
}

// once is an opaque condition that holds at this rule only: two limits of the same text
// are two.
func (n *nftReader) once(text string) Cond {
	return Opaque{Text: fmt.Sprintf("%s (table %s %s, chain %s, handle %d)", text, n.table.Family, n.table.Name, n.at.Chain, n.handle), Stateful: true}
}

// condition reads what lets a rule go on or not.
func (n *nftReader) condition(e nft.Expr) (Cond, bool) {
	switch e.Kind {
	case "match":
		return n.match(e), true
	case "limit", "quota", "ct count", "set", "map", "socket", "osf", "numgen":
		return n.once(e.Text()), true
	case "xt":
		body, _ := e.Body.(map[string]any)
		if body["type"] == "match" {
			return n.once(e.Text()), true
		}
	}
	return nil, false
}

// verdict reads what becomes of packets.
func (n *nftReader) verdict(kind string, body any) (Verdict, bool) {
	b, _ := body.(map[string]any)
	switch kind {
	case "accept":
		return Verdict{Kind: Accept}, true
	case "drop":
		return Verdict{Kind: Drop}, true
	case "return":
		return Verdict{Kind: Return}, true
	case "continue":
		return Verdict{Kind: Continue}, true
	case "jump", "goto":
		to, _ := b["target"].(string)
		if n.chains[to] == nil {
			return Verdict{Kind: Other, With: kind + " " + to}, true
		}
		if kind == "goto" {
			return Verdict{Kind: Goto, Chain: to}, true
		}
		return Verdict{Kind: Jump, Chain: to}, true
	case "reject":
		return Verdict{Kind: Reject, With: nftReject(b, n.family)}, true
	case "snat", "masquerade":
		// Accepts; no later hook asks for the source that it gives.
		return Verdict{Kind: Accept}, true
	case "dnat":
		return n.dnat(b), true
	case "redirect", "queue", "tproxy", "synproxy", "fwd":
		return Verdict{Kind: Other, With: nft.Expr{Kind: kind, Body: body}.Text()}, true
	}
	return Verdict{}, false
}

// dnat is the target as iptables writes it, which is what is looked for.
func (n *nftReader) dnat(b map[string]any) Verdict {
	addr, ok := b["addr"].(string)
	port, hasPort := b["port"].(json.Number)
	switch {
	case !ok || b["port"] != nil && !hasPort:
		return Verdict{Kind: Other, With: nft.Expr{Kind: "dnat", Body: b}.Text()}
	case !hasPort:
		return Verdict{Kind: Other, With: "DNAT --to-destination " + addr}
	case n.family == ir.IPv6:
		addr = "[" + addr + "]"
	}
	return Verdict{Kind: Other, With: "DNAT --to-destination " + addr + ":" + port.String()}
}

// nftReject is the kind of answer in the words of iptables.
func nftReject(b map[string]any, f ir.Family) string {
	typ, _ := b["type"].(string)
	with, _ := b["expr"].(string)
	switch {
	case typ == "tcp reset":
		return "tcp-reset"
	case with == "":
		with = "port-unreachable"
	}
	if f == ir.IPv6 {
		return "icmp6-" + with
	}
	return "icmp-" + with
}

// mangle reads a statement that changes a packet or its connection; ok is false where that
// changes what later conditions are about.
func (n *nftReader) mangle(body any) (actions []Action, ok bool) {
	b, _ := body.(map[string]any)
	key, _ := b["key"].(map[string]any)
	what := nft.Value(key)
	switch {
	case what == "meta mark":
		if nft.Value(b["value"]) == "ct mark" {
			return []Action{{RestoreMark, ^uint32(0), ^uint32(0)}}, true
		}
		return []Action{markChange(SetMark, what, b["value"])}, true
	case what == "ct mark":
		if nft.Value(b["value"]) == "meta mark" {
			return []Action{{SaveMark, ^uint32(0), ^uint32(0)}}, true
		}
		return []Action{markChange(SetConnMark, what, b["value"])}, true
	case key["meta"] != nil, key["ct"] != nil, key["tcp option"] != nil:
		return nil, true
	case slices.Contains([]string{"ip dscp", "ip6 dscp", "ip ttl", "ip6 hoplimit", "ip ecn", "ip6 ecn"}, what):
		return nil, true
	}
	return nil, false
}

// markChange reads VALUE, mark | N, mark & N, mark ^ N and (mark & N) | M; of anything else
// the mark is not known.
func markChange(kind ActionKind, mark string, value any) Action {
	if n, ok := nftNumber(value, 32); ok {
		return Action{kind, n, ^uint32(0)}
	}
	op, left, n, ok := nftBinary(value)
	if !ok {
		return Action{Kind: LoseMark}
	}
	if nft.Value(left) == mark {
		switch op {
		case "|":
			return Action{kind, n, n}
		case "&":
			return Action{kind, 0, ^n}
		}
		return Action{kind, n, 0}
	}
	inner, left, m, ok := nftBinary(left)
	if ok && inner == "&" && nft.Value(left) == mark && op != "&" {
		if op == "|" {
			return Action{kind, n, ^m | n}
		}
		return Action{kind, n, ^m}
	}
	return Action{Kind: LoseMark}
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
	cond    Cond
	verdict Verdict
}

// vmap reads a map of verdicts: what is in none of its elements goes on with the next rule.
func (n *nftReader) vmap(e nft.Expr, last bool) []nftVerdict {
	body, _ := e.Body.(map[string]any)
	elements, known := n.elements(body["data"])
	field := n.field(body["key"])
	var out []nftVerdict
	var others []Cond
	var rest *Verdict
	for _, x := range elements {
		pair, _ := x.([]any)
		if len(pair) != 2 {
			known = false
			continue
		}
		value, _ := pair[1].(map[string]any)
		verdict := Verdict{Kind: Other, With: nft.Value(pair[1])}
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
		others = append(others, Not{c})
		out = append(out, nftVerdict{All(append(slices.Clone(field.guard), c)), verdict})
	}
	if rest != nil {
		out = append(out, nftVerdict{All(append(slices.Clone(field.guard), others...)), *rest})
	}
	if !known || !last {
		out = append(out, nftVerdict{n.once(e.Text()), Verdict{Kind: Other, With: e.Text()}})
	}
	return out
}

// elements are those of a set or map, named or not; known is false for what changes.
func (n *nftReader) elements(v any) (elements []any, known bool) {
	switch v := v.(type) {
	case string:
		if len(v) > 1 && v[0] == '@' {
			if s := n.table.Sets[v[1:]]; s != nil {
				return s.Elem, !s.Changes
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

// unwrap takes an element's key out of what else is said of it, such as its counter.
func unwrap(v any) any {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		if e, ok := m["elem"].(map[string]any); ok {
			return e["val"]
		}
	}
	return v
}
