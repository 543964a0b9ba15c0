package nft

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// HookText is where packets enter a chain, for messages, with the policy.
func (c *Chain) HookText() string {
	if c.Hook == "" {
		return "no hook"
	}
	policy := c.Policy
	if policy == "" {
		policy = "accept"
	}
	return fmt.Sprintf("type %s, hook %s, priority %d and policy %s", c.Type, c.Hook, c.Priority, policy)
}

// Text returns the rule in the syntax of nft, for messages, without counts. Expressions of
// other kinds are returned as their JSON. Parse reads the rules, from JSON.
func (r *Rule) Text() string {
	words := make([]string, 0, len(r.Expr))
	for _, e := range r.Expr {
		words = append(words, e.Text())
	}
	if r.Comment != "" {
		words = append(words, fmt.Sprintf("comment %q", r.Comment))
	}
	return strings.Join(words, " ")
}

// Text returns the expression in the syntax of nft, or else as its JSON.
func (e Expr) Text() string {
	body, _ := e.Body.(map[string]any)
	if name, ok := e.Body.(string); ok && slices.Contains([]string{"counter", "limit", "quota"}, e.Kind) {
		return fmt.Sprintf("%s name %q", e.Kind, name)
	}
	switch e.Kind {
	case "match":
		op, _ := body["op"].(string)
		left, right := Value(body["left"]), Value(body["right"])
		if op == "==" || op == "in" {
			return left + " " + right
		}
		return left + " " + op + " " + right
	case "jump", "goto":
		return e.Kind + " " + Value(body["target"])
	case "counter", "accept", "drop", "return", "continue", "notrack", "masquerade":
		if e.Body == nil || e.Kind == "counter" {
			return e.Kind
		}
	case "vmap":
		return Value(body["key"]) + " vmap " + Value(body["data"])
	case "dnat", "snat":
		to := Value(body["addr"])
		if body["port"] != nil {
			to += ":" + Value(body["port"])
		}
		return e.Kind + " to " + to
	case "limit":
		over := ""
		if body["inv"] == true {
			over = "over "
		}
		return limitText(body, over)
	case "ct count":
		if body["inv"] == true {
			return "ct count over " + Value(body["val"])
		}
		return "ct count " + Value(body["val"])
	case "set":
		return setText(body)
	case "reject":
		if e.Body == nil {
			return "reject"
		}
		return strings.TrimSpace("reject with " + Value(body["type"]) + " " + optional(body["expr"]))
	case "log":
		if body["prefix"] != nil {
			return fmt.Sprintf("log prefix %q", body["prefix"])
		}
		if e.Body == nil {
			return "log"
		}
	case "mangle":
		return Value(body["key"]) + " set " + Value(body["value"])
	case "xt":
		if body == nil {
			return "xt"
		}
		return "xt " + optional(body["type"]) + " " + optional(body["name"])
	}
	text, _ := json.Marshal(map[string]any{e.Kind: e.Body})
	return string(text)
}

func limitText(body map[string]any, over string) string {
	text := "limit rate " + over + Value(body["rate"])
	if unit := optional(body["rate_unit"]); unit != "" && unit != "packets" {
		text += " " + unit
	}
	text += "/" + Value(body["per"])
	unit := "packets"
	if u := optional(body["burst_unit"]); u != "" {
		unit = u
	}
	if burst := optional(body["burst"]); burst != "" && (burst != "0" || unit == "packets") {
		text += " burst " + burst + " " + unit
	}
	return text
}

// setText returns add @NAME { KEY STATEMENTS }.
func setText(body map[string]any) string {
	words := []string{optional(body["op"]), optional(body["set"]), "{", Value(body["elem"])}
	stmts, _ := body["stmt"].([]any)
	for _, s := range stmts {
		m, _ := s.(map[string]any)
		for kind, x := range m {
			words = append(words, Expr{kind, x}.Text())
		}
	}
	return strings.Join(append(words, "}"), " ")
}

func optional(v any) string {
	if v == nil {
		return ""
	}
	return Value(v)
}

// maxShown is the number of elements of an anonymous set that are shown.
const maxShown = 6

// Value returns a value, or the left side of a match, in the syntax of nft, or else as its
// JSON.
func Value(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case []any:
		return list(v, ",")
	case map[string]any:
		if len(v) != 1 {
			break
		}
		for kind, body := range v {
			if text, ok := value(kind, body); ok {
				return text
			}
		}
	}
	text, _ := json.Marshal(v)
	return string(text)
}

func value(kind string, body any) (string, bool) {
	if l, ok := body.([]any); ok {
		switch {
		case kind == "set":
			return "{ " + list(l, ", ") + " }", true
		case kind == "range" && len(l) == 2:
			return Value(l[0]) + "-" + Value(l[1]), true
		case kind == "concat":
			return list(l, " . "), true
		case slices.Contains([]string{"&", "|", "^"}, kind):
			return list(l, " "+kind+" "), true
		}
		return "", false
	}
	b, ok := body.(map[string]any)
	if !ok {
		return "", false
	}
	switch kind {
	case "meta":
		key := Value(b["key"])
		if key == "iifname" || key == "oifname" || key == "iif" || key == "oif" {
			return key, true
		}
		return "meta " + key, true
	case "payload":
		if b["protocol"] == nil {
			return "", false
		}
		return Value(b["protocol"]) + " " + Value(b["field"]), true
	case "ct":
		return strings.Join(strings.Fields("ct "+optional(b["dir"])+" "+Value(b["key"])), " "), true
	case "prefix":
		return Value(b["addr"]) + "/" + Value(b["len"]), true
	case "elem":
		return Value(b["val"]), true
	case "fib":
		flags, _ := b["flags"].([]any)
		return "fib " + list(flags, " . ") + " " + Value(b["result"]), true
	case "jump", "goto":
		return kind + " " + Value(b["target"]), true
	}
	return "", false
}

func list(l []any, by string) string {
	var words []string
	for i, x := range l {
		if i == maxShown {
			words = append(words, "…")
			break
		}
		if pair, ok := x.([]any); ok && len(pair) == 2 {
			words = append(words, Value(pair[0])+" : "+verdict(pair[1]))
			continue
		}
		words = append(words, Value(x))
	}
	return strings.Join(words, by)
}

// verdict returns the value of a pair in a map: {"accept": null} is accept.
func verdict(v any) string {
	if m, ok := v.(map[string]any); ok && len(m) == 1 {
		for kind, body := range m {
			if body == nil {
				return kind
			}
		}
	}
	return Value(v)
}
