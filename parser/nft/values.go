package nft

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// maxDepth is how deep values may be nested; nft prints two levels.
const maxDepth = 20

// unqualified are keys of meta that nft prints without the word.
var unqualified = []string{"iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup"}

// headers are the headers whose fields a rule may compare.
var headers = []string{
	"ether", "vlan", "arp", "ip", "ip6", "icmp", "icmpv6", "igmp", "tcp", "udp", "udplite", "dccp", "sctp", "th", "ah", "esp", "comp",
}

// match reads a comparison, a verdict map, or a statement that changes what it begins with.
func (p *parser) match() Expr {
	start := p.peek()
	left := p.operation(0, true)
	switch {
	case !isField(left):
		p.fail(start, "%q is not known as the beginning of a condition or statement.", start.text)
	case p.accept("vmap"):
		return Expr{"vmap", body{"key": left, "data": p.right(left, true)}}
	case p.accept("set"):
		if key, ok := ctObject(left); ok {
			return Expr{"ct " + key, p.string("the name of an object")}
		}
		return Expr{"mangle", body{"key": left, "value": p.operation(0, true)}}
	}
	op := "=="
	explicit := false
	if t := p.peek(); t.kind == mark && slices.Contains([]string{"==", "!=", "<", ">", "<=", ">=", "!"}, t.text) {
		op, explicit = p.next().text, true
	}
	right := p.right(left, false)
	if p.accept("/") {
		mask := p.right(left, false)
		return Expr{"match", body{"op": op, "left": body{"&": []any{left, mask}}, "right": right}}
	}
	if m, ok := right.(body); isBits(left) && !explicit && (!ok || m["set"] == nil) {
		op = "in"
	}
	return Expr{"match", body{"op": op, "left": left, "right": right}}
}

// isField reports whether a value is a field of a packet or its metadata, with which a condition
// begins.
func isField(v any) bool {
	m, _ := v.(body)
	for kind, x := range m {
		switch kind {
		case "meta", "ct", "payload", "fib", "exthdr", "tcp option", "socket", "rt":
			return true
		case "concat":
			parts, _ := x.([]any)
			return !slices.ContainsFunc(parts, func(part any) bool { return !isField(part) })
		}
		if precedence[kind] > 0 {
			operands, _ := x.([]any)
			return isField(operands[0])
		}
	}
	return false
}

// ctObject returns helper for ct helper, and likewise for timeouts and expectations.
func ctObject(left any) (string, bool) {
	m, _ := left.(body)
	ct, _ := m["ct"].(body)
	key, _ := ct["key"].(string)
	return key, slices.Contains([]string{"helper", "timeout", "expectation"}, key)
}

// isBits reports whether a field is a set of bits: without an operator nft compares whether any
// of them is set.
func isBits(left any) bool {
	switch Value(left) {
	case "ct state", "ct status", "ct event", "ct label", "tcp flags":
		return true
	}
	return false
}

// precedence of the operators between values.
var precedence = map[string]int{"|": 1, "^": 2, "&": 3, "<<": 4, ">>": 4}

// operation reads values with operators between them. nft prints those that bind weaker than
// lowest in parentheses. fields is whether words such as tcp begin fields: elsewhere they are
// values.
func (p *parser) operation(lowest int, fields bool) any {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.peek(), "Values are nested too deeply here.")
	}
	defer func() { p.depth-- }()
	left := p.concatenation(fields)
	for {
		t := p.peek()
		binds := precedence[t.text]
		if t.kind != mark || binds == 0 || binds <= lowest {
			return left
		}
		p.next()
		left = body{t.text: []any{left, p.operation(binds, fields)}}
	}
}

// concatenation reads a field or value, or several with a dot between them.
func (p *parser) concatenation(fields bool) any {
	first := p.operand(fields)
	if !p.peek().is(".") {
		return first
	}
	parts := []any{first}
	for p.accept(".") {
		parts = append(parts, p.operand(fields))
	}
	return body{"concat": parts}
}

// operand reads a field of a packet or its metadata, or a value.
func (p *parser) operand(fields bool) any {
	t := p.peek()
	switch {
	case t.is("("):
		p.next()
		v := p.operation(0, fields)
		p.expect(")")
		return v
	case !fields || t.kind != word:
		return p.value()
	case t.text == "meta":
		p.next()
		return body{"meta": body{"key": p.word("a key of meta")}}
	case slices.Contains(unqualified, t.text):
		p.next()
		return body{"meta": body{"key": t.text}}
	case t.text == "ct":
		p.next()
		return p.ct()
	case t.text == "fib":
		p.next()
		return p.fib()
	case t.text == "exthdr":
		p.next()
		return body{"exthdr": body{"name": p.word("a header")}}
	case slices.Contains(headers, t.text):
		p.next()
		field := p.word("a field of the header " + t.text)
		if t.text == "tcp" && field == "option" {
			return p.tcpOption()
		}
		return body{"payload": body{"protocol": t.text, "field": field}}
	case t.text == "socket" || t.text == "rt":
		p.next()
		return body{t.text: body{"key": p.word("a key of " + t.text)}}
	}
	return p.value()
}

// ct reads a key of conntrack, for a direction or not.
func (p *parser) ct() any {
	key := p.word("a key of ct")
	out := body{}
	if key == "original" || key == "reply" {
		out["dir"] = key
		key = p.word("a key of ct")
		if key == "ip" || key == "ip6" {
			key += " " + p.word("saddr or daddr")
		}
	}
	out["key"] = key
	return body{"ct": out}
}

func (p *parser) fib() any {
	var flags []any
	for {
		flags = append(flags, p.word("saddr, daddr, mark, iif or oif"))
		if !p.accept(".") {
			break
		}
	}
	return body{"fib": body{"result": p.word("type, oif or oifname"), "flags": flags}}
}

func (p *parser) tcpOption() any {
	out := body{"name": p.word("an option")}
	if t := p.peek(); t.kind == word && t.text != "exists" && t.text != "missing" {
		out["field"] = p.next().text
	}
	return body{"tcp option": out}
}

// right reads the right side of a comparison with left, or the data of a verdict map.
func (p *parser) right(left any, verdicts bool) any {
	start := p.peek()
	if start.is("{") {
		return p.anonymous(left, verdicts)
	}
	if verdicts && !strings.HasPrefix(start.text, "@") {
		p.unexpected(start, "a map")
	}
	v := p.operation(0, false)
	if p.peek().is(",") {
		list := []any{v}
		for p.accept(",") {
			list = append(list, p.value())
		}
		v = list
	}
	p.check(left, v, start)
	return v
}

// anonymous reads the elements of a set or map in braces.
func (p *parser) anonymous(left any, verdicts bool) any {
	p.expect("{")
	var out []any
	for p.skipNewlines(); ; p.skipNewlines() {
		start := p.peek()
		if len(out) > 0 && p.accept("}") {
			break
		}
		v := p.element(verdicts, func(key any) { p.check(left, key, start) })
		out = append(out, v)
		p.skipNewlines()
		if !p.accept(",") {
			p.skipNewlines()
			p.expect("}")
			break
		}
	}
	return body{"set": out}
}

// element reads one element of a set or, with data, of a map. check gets its key.
func (p *parser) element(data bool, check func(key any)) any {
	if t := p.peek(); t.is("{") {
		p.unexpected(t, "an element")
	}
	key := p.operation(0, false)
	check(key)
	attributes := body{}
	for {
		if e, ok := p.stateful(); ok {
			attributes[e.Kind] = e.Body
			continue
		}
		t := p.peek()
		if t.is("timeout") || t.is("expires") {
			p.next()
			attributes[t.text] = jsonNumber(p.seconds())
			continue
		}
		if t.is("comment") {
			p.next()
			attributes["comment"] = p.string("the comment")
			continue
		}
		break
	}
	if len(attributes) > 0 {
		attributes["val"] = key
		key = body{"elem": attributes}
	}
	if !data {
		return key
	}
	p.expect(":")
	t := p.peek()
	switch t.text {
	case "accept", "drop", "return", "continue", "jump", "goto", "queue":
		if t.kind == word {
			e := p.statement()
			return []any{key, body{e.Kind: e.Body}}
		}
	}
	return []any{key, p.operation(0, false)}
}

// value reads a number, an address, a range, a string or the name of a set.
func (p *parser) value() any {
	t := p.peek()
	if t.kind == quoted {
		p.next()
		return p.quotedRange(t)
	}
	if t.kind != word {
		p.unexpected(t, "a value")
	}
	p.next()
	v := p.scalar(t)
	if p.peek().is("[") && strings.HasPrefix(t.text, "0x") {
		return p.invalidType(t)
	}
	return v
}

// quotedRange reads the rest of "08:00"-"17:00".
func (p *parser) quotedRange(first token) any {
	if t := p.peek(); t.is("-") && t.start == first.end {
		p.next()
		return body{"range": []any{first.text, p.string("the end of the range")}}
	}
	return first.text
}

// invalidType reads 0x50 [invalid type], which nft 1.0.6 prints for a number of unknown length,
// and ranges of these.
func (p *parser) invalidType(first token) any {
	read := func(text string) string {
		p.expect("[")
		p.expect("invalid")
		p.expect("type")
		p.expect("]")
		return text + " [invalid type]"
	}
	v := read(first.text)
	if t := p.peek(); t.kind == word && strings.HasPrefix(t.text, "-0x") {
		p.next()
		return body{"range": []any{v, read(t.text[1:])}}
	}
	return v
}

// scalar reads a word as a value.
func (p *parser) scalar(t token) any {
	text := t.text
	switch {
	case text == "exists":
		return true
	case text == "missing":
		return false
	case text[0] == '@':
		return text
	}
	if v, ok := p.numeric(text); ok {
		return v
	}
	if addr, length, isPrefix := strings.Cut(text, "/"); isPrefix && isAddress(addr) {
		if n, ok := decimal(length, 128); ok {
			return body{"prefix": body{"addr": addr, "len": jsonNumber(int(n))}}
		}
	}
	for i, c := range text {
		if c != '-' {
			continue
		}
		from, ok1 := p.bound(text[:i])
		to, ok2 := p.bound(text[i+1:])
		if ok1 && ok2 {
			return body{"range": []any{from, to}}
		}
	}
	if '0' <= text[0] && text[0] <= '9' && !isAddress(text) && !isMAC(text) {
		p.fail(t, "%q is not understood as a number or an address. Numbers have no leading zeros.", text)
	}
	return text
}

// bound reads an end of a range: a number or an address.
func (p *parser) bound(text string) (any, bool) {
	if v, ok := p.numeric(text); ok {
		return v, true
	}
	return text, isAddress(text)
}

// numeric reads a decimal number, or one with 0x.
func (p *parser) numeric(text string) (any, bool) {
	if _, ok := decimal(text, 1<<63); ok {
		return json.Number(text), true
	}
	if len(text) > 2 && text[:2] == "0x" {
		if n, err := strconv.ParseUint(text[2:], 16, 64); err == nil {
			return json.Number(strconv.FormatUint(n, 10)), true
		}
	}
	return nil, false
}

func isAddress(text string) bool {
	_, ok4 := readAddress(text, 32)
	_, ok6 := readAddress(text, 128)
	return ok4 || ok6
}

func isMAC(text string) bool { return len(text) == 17 && strings.Count(text, ":") == 5 }

// check fails if a value can not be one of the field: the listing of nft has numbers only.
func (p *parser) check(left, v any, at token) {
	switch Value(left) {
	case "ip saddr", "ip daddr", "ct original ip saddr", "ct original ip daddr", "ct reply ip saddr", "ct reply ip daddr":
		if !isSetName(v) && !isAddressValue(v, 32) {
			p.fail(at, "Instead of an IPv4 address, network or range here is %s.", Value(v))
		}
	case "ip6 saddr", "ip6 daddr", "ct original ip6 saddr", "ct original ip6 daddr", "ct reply ip6 saddr", "ct reply ip6 daddr":
		if !isSetName(v) && !isAddressValue(v, 128) {
			p.fail(at, "Instead of an IPv6 address, network or range here is %s.", Value(v))
		}
	case "tcp sport", "tcp dport", "udp sport", "udp dport", "sctp sport", "sctp dport", "dccp sport", "dccp dport", "udplite sport", "udplite dport", "th sport", "th dport":
		if !isSetName(v) && !isNumberValue(v) {
			p.fail(at, "Instead of a port or range of ports here is %s.", Value(v))
		}
	}
}

func isSetName(v any) bool {
	text, ok := v.(string)
	return ok && strings.HasPrefix(text, "@")
}

// isAddressValue reports whether a value is an address, network or range; of any family if
// bits is 0.
func isAddressValue(v any, bits int) bool {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case body:
		text = rangeText(v)
	}
	if bits == 0 {
		return isAddressValue(v, 32) || isAddressValue(v, 128)
	}
	_, _, ok := readRange(text, bits)
	return ok
}

func isNumberValue(v any) bool {
	if m, ok := v.(body); ok {
		r, _ := m["range"].([]any)
		return len(m) == 1 && len(r) == 2 && isNumberValue(r[0]) && isNumberValue(r[1])
	}
	if text, ok := v.(string); ok {
		return strings.HasSuffix(text, " [invalid type]")
	}
	_, ok := v.(json.Number)
	return ok
}
