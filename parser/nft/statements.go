package nft

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// body is the body of an expression.
type body = map[string]any

func jsonNumber(n int) json.Number { return json.Number(strconv.Itoa(n)) }

// statement reads a condition or statement of a rule.
func (p *parser) statement() Expr {
	t := p.peek()
	if t.kind != word {
		p.unexpected(t, "a statement")
	}
	switch t.text {
	case "accept", "drop", "return", "continue", "notrack":
		p.next()
		return Expr{t.text, nil}
	case "jump", "goto":
		p.next()
		return Expr{t.text, body{"target": p.name()}}
	case "add", "update", "delete":
		p.next()
		return p.setStatement(t.text)
	case "masquerade", "redirect", "snat", "dnat":
		p.next()
		return p.nat(t.text)
	case "xt":
		p.next()
		kind := p.peek()
		if !kind.is("match") && !kind.is("target") {
			p.unexpected(kind, "match or target")
		}
		p.next()
		name := p.peek()
		if name.kind != word && name.kind != quoted {
			p.unexpected(name, "the name of an extension")
		}
		p.next()
		return Expr{"xt", body{"type": kind.text, "name": name.text}}
	}
	if e, ok := p.stateful(); ok {
		return e
	}
	switch t.text {
	case "log":
		p.next()
		return Expr{"log", p.log()}
	case "reject":
		p.next()
		return Expr{"reject", p.reject()}
	}
	return p.match()
}

// stateful reads a statement that a rule and an element of a set may have.
func (p *parser) stateful() (Expr, bool) {
	t := p.peek()
	switch {
	case t.is("counter"):
		p.next()
		return Expr{"counter", p.counter()}, true
	case t.is("limit"):
		p.next()
		return Expr{"limit", p.limit()}, true
	case t.is("quota"):
		p.next()
		return Expr{"quota", p.quota()}, true
	case t.is("ct"):
		p.next()
		if !p.peek().is("count") {
			p.reset(t)
			return Expr{}, false
		}
		p.next()
		out := body{}
		if p.accept("over") {
			out["inv"] = true
		}
		out["val"] = jsonNumber(p.number("a number of connections"))
		return Expr{"ct count", out}, true
	}
	return Expr{}, false
}

func (p *parser) counter() any {
	switch {
	case p.accept("name"):
		return p.string("the name of a counter")
	case p.accept("packets"):
		packets := p.number("a number")
		p.expect("bytes")
		return body{"packets": jsonNumber(packets), "bytes": jsonNumber(p.number("a number"))}
	}
	return nil
}

// limit reads rate [over] 10/minute [burst 5 packets]. nft 1.0.6 does not print the burst of 5.
func (p *parser) limit() any {
	if p.accept("name") {
		return p.string("the name of a limit")
	}
	p.expect("rate")
	out := body{}
	if p.accept("over") {
		out["inv"] = true
	}
	at := p.peek()
	rate, per, ofPackets := strings.Cut(p.word("a rate"), "/")
	n, ok := decimal(rate, 1<<62)
	if !ok {
		p.unexpected(at, "a rate such as 10/minute")
	}
	out["rate"], out["burst"] = json.Number(rate), json.Number("5")
	if !ofPackets {
		var unit string
		at = p.peek()
		if unit, per, ok = strings.Cut(p.word("a unit"), "/"); !ok || !slices.Contains(byteUnits, unit) {
			p.unexpected(at, "a rate such as 10 kbytes/second")
		}
		out["rate_unit"], out["burst_unit"], out["burst"] = unit, "bytes", json.Number("0")
	}
	if n == 0 || !slices.Contains([]string{"second", "minute", "hour", "day", "week"}, per) {
		p.unexpected(at, "a rate such as 10/minute")
	}
	out["per"] = per
	if p.accept("burst") {
		out["burst"] = jsonNumber(p.number("a number"))
		unit := p.peek()
		switch {
		case ofPackets && unit.is("packets"):
		case !ofPackets && slices.Contains(byteUnits, unit.text):
			out["burst_unit"] = unit.text
		default:
			p.unexpected(unit, "the unit of the burst")
		}
		p.next()
	}
	return out
}

var byteUnits = []string{"bytes", "kbytes", "mbytes"}

func (p *parser) quota() any {
	if p.accept("name") {
		return p.string("the name of a quota")
	}
	out := body{}
	if p.accept("over") {
		out["inv"] = true
	}
	amount := func(suffix string) {
		out[suffix+"val"] = jsonNumber(p.number("a number of bytes"))
		unit := p.peek()
		if !slices.Contains(byteUnits, unit.text) {
			p.unexpected(unit, "bytes, kbytes or mbytes")
		}
		out[suffix+"val_unit"] = p.next().text
	}
	amount("")
	if p.accept("used") {
		out["used"] = jsonNumber(p.number("a number of bytes"))
		out["used_unit"] = p.word("bytes, kbytes or mbytes")
	}
	return out
}

func (p *parser) log() any {
	out := body{}
	for {
		t := p.peek()
		switch {
		case t.is("prefix"):
			p.next()
			out["prefix"] = p.string("the prefix")
		case t.is("level"):
			p.next()
			out["level"] = p.word("a level")
		case t.is("group"), t.is("snaplen"), t.is("queue-threshold"):
			p.next()
			out[t.text] = jsonNumber(p.number("a number"))
		case t.is("flags"):
			p.next()
			out["flags"] = p.logFlags(out["flags"])
		case len(out) == 0:
			return nil
		default:
			return out
		}
	}
}

// logFlags reads all, tcp sequence,options, ip options, skuid or ether, and adds them to those
// before.
func (p *parser) logFlags(before any) any {
	var flags []any
	switch before := before.(type) {
	case string:
		flags = append(flags, before)
	case []any:
		flags = before
	}
	kind := p.word("a flag")
	switch kind {
	case "tcp", "ip":
		for {
			flags = append(flags, kind+" "+p.word("a flag"))
			if !p.accept(",") {
				break
			}
		}
	case "all", "skuid", "ether":
		flags = append(flags, kind)
	default:
		p.unexpected(p.peek(), "a flag of log")
	}
	if len(flags) == 1 {
		return flags[0]
	}
	return flags
}

// reject reads with tcp reset, or with icmp, icmpv6 or icmpx and a code. Without it the code is
// that which nft puts into its JSON.
func (p *parser) reject() any {
	if !p.accept("with") {
		typ := map[string]string{"ip": "icmp", "ip6": "icmpv6"}[p.family]
		if typ == "" {
			typ = "icmpx"
		}
		return body{"type": typ, "expr": "port-unreachable"}
	}
	t := p.peek()
	switch p.word("an answer") {
	case "tcp":
		p.expect("reset")
		return body{"type": "tcp reset"}
	case "icmp", "icmpv6", "icmpx":
		p.accept("type") // nft before 1.0
		code := p.peek()
		p.word("a code")
		return body{"type": t.text, "expr": p.scalar(code)}
	}
	p.unexpected(t, "tcp reset, icmp, icmpv6 or icmpx")
	return nil
}

// nat reads masquerade, redirect [to :80], and snat and dnat [ip] to ADDRESS.
func (p *parser) nat(kind string) Expr {
	out := body{}
	if t := p.peek(); t.is("ip") || t.is("ip6") {
		out["family"] = p.next().text
	}
	if p.accept("to") {
		p.natTarget(out)
	} else if kind == "snat" || kind == "dnat" {
		p.unexpected(p.peek(), `"to"`)
	}
	var flags []any
	for t := p.peek(); t.is("random") || t.is("fully-random") || t.is("persistent"); t = p.peek() {
		flags = append(flags, p.next().text)
		if !p.accept(",") {
			break
		}
	}
	switch len(flags) {
	case 0:
	case 1:
		out["flags"] = flags[0]
	default:
		out["flags"] = flags
	}
	if len(out) == 0 {
		return Expr{kind, nil}
	}
	return Expr{kind, out}
}

// natTarget reads 10.0.0.1, 10.0.0.1:80, [2001:db8::1]:80-90 and :80.
func (p *parser) natTarget(out body) {
	at := p.peek()
	var addr, port string
	if p.accept("[") {
		addr = p.word("an address")
		p.expect("]")
		if t := p.peek(); t.kind == word && strings.HasPrefix(t.text, ":") {
			port = p.next().text[1:]
		}
	} else {
		addr = p.word("an address")
		if before, after, found := strings.Cut(addr, ":"); found && !strings.Contains(after, ":") {
			addr, port = before, after
		}
	}
	if addr != "" {
		v := p.scalar(token{kind: word, text: addr, start: at.start, end: at.end, line: at.line, lineStart: at.lineStart})
		if _, isNumber := v.(json.Number); isNumber || !isAddressValue(v, 0) {
			p.unexpected(at, "an address")
		}
		out["addr"] = v
	}
	if port != "" {
		v := p.scalar(token{kind: word, text: port, start: at.start, end: at.end, line: at.line, lineStart: at.lineStart})
		if !isNumberValue(v) {
			p.unexpected(at, "a port")
		}
		out["port"] = v
	}
}

// setStatement reads add @NAME { KEY STATEMENTS }.
func (p *parser) setStatement(op string) Expr {
	t := p.peek()
	if t.kind != word || len(t.text) < 2 || t.text[0] != '@' {
		p.unexpected(t, "a set such as @name")
	}
	p.next()
	out := body{"op": op, "set": t.text}
	p.expect("{")
	key := p.operation(0, true)
	if p.accept("timeout") {
		key = body{"elem": body{"val": key, "timeout": jsonNumber(p.seconds())}}
	}
	out["elem"] = key
	var stmts []any
	for {
		e, ok := p.stateful()
		if !ok {
			break
		}
		stmts = append(stmts, body{e.Kind: e.Body})
	}
	if stmts != nil {
		out["stmt"] = stmts
	}
	p.expect("}")
	return Expr{"set", out}
}

// seconds reads a duration such as 1h4m59s364ms; a part of a second does not count.
func (p *parser) seconds() int {
	t := p.peek()
	text := p.word("a duration")
	total := 0
	for text != "" {
		i := 0
		for i < len(text) && '0' <= text[i] && text[i] <= '9' {
			i++
		}
		n, ok := decimal(text[:i], 1<<40)
		j := i
		for j < len(text) && (text[j] < '0' || '9' < text[j]) {
			j++
		}
		unit, known := map[string]int{"ms": 0, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[text[i:j]]
		if !ok || !known {
			p.unexpected(t, "a duration such as 1h30m")
		}
		total += int(n) * unit
		text = text[j:]
	}
	return total
}
