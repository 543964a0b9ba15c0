package nft

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// File is a file for nft -f: its commands in order.
type File struct{ Commands []*Command }

// Command is a command of a file.
type Command struct {
	// Verb is add, flush, delete or destroy.
	Verb string
	// Object is what it is about: table, chain, set or element.
	Object string
	// Family, Table and Name say which one; Name is "" for a table.
	Family, Table, Name string
	// Block has the chains and sets that are added to a table; nil if there is no block.
	Block *Table
	// Elements are those of the command element, in a set without a type.
	Elements *Set
	Range    hcl.Range
}

// ParseText reads what nft list ruleset and nft list table print, and files for nft -f, with
// the result of loading them into a host without tables. Expressions of rules are those that
// [Parse] reads from the JSON of the same rules; only the ends of ranges of ICMP types and
// protocols are numbers here and names there.
//
// Everything that is not understood is an error.
func ParseText(text []byte, name string) (*Ruleset, hcl.Diagnostics) {
	file, diags := ParseFile(text, name)
	out := &Ruleset{}
	if diags.HasErrors() {
		return out, diags
	}
	return out, append(diags, out.Load(file)...)
}

// ParseFile reads the commands of a file for nft -f; see [ParseText].
func ParseFile(text []byte, name string) (*File, hcl.Diagnostics) {
	p := &parser{lexer: lexer{file: name, text: string(text), line: 1}}
	file := &File{}
	for p.skipNewlines(); p.peek().kind != endOfText; p.skipNewlines() {
		start := p.peek()
		p.attempt(start, func() {
			if c := p.command(); c != nil {
				file.Commands = append(file.Commands, c)
			}
		})
	}
	return file, p.problems()
}

// parser reads the syntax of nft. Its methods panic with a syntaxError, which attempt recovers.
type parser struct {
	lexer
	family string // of the current table
	depth  int    // of nested values
}

type syntaxError struct {
	at      token
	summary string
	detail  string
}

// fail gives up the current statement.
func (p *parser) fail(at token, format string, args ...any) {
	panic(syntaxError{at, "Unsupported nft syntax", fmt.Sprintf(format, args...)})
}

func (p *parser) unexpected(t token, wanted string) {
	what := strconv.Quote(t.text)
	switch {
	case t.kind == endOfText:
		what = "the end of the file"
	case t.text == "\n":
		what = "the end of the line"
	}
	p.fail(t, "Here is %s instead of %s.", what, wanted)
}

// attempt reads a statement. If it is not understood, it adds a diagnostic and continues after
// the statement, which began at start.
func (p *parser) attempt(start token, read func()) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case syntaxError:
			p.problem(diag.CodeDumpSyntax, e.at, e.summary, e.detail)
			p.depth = 0
			p.reset(start)
			p.skipStatement()
		default:
			panic(e)
		}
	}()
	read()
}

// skipStatement skips everything to the end of a line outside of braces.
func (p *parser) skipStatement() {
	for depth := 0; ; p.next() {
		switch t := p.peek(); {
		case t.kind == endOfText, depth == 0 && t.is("}"):
			if t.is("}") && p.family == "" {
				p.next() // it closes nothing
			}
			return
		case t.is("{"):
			depth++
		case t.is("}"):
			depth--
		case t.kind == newline && depth == 0:
			p.next()
			return
		}
	}
}

func (p *parser) skipNewlines() {
	for p.peek().kind == newline {
		p.next()
	}
}

// accept reads the next token if it is that word or mark.
func (p *parser) accept(text string) bool {
	if p.peek().is(text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(text string) token {
	if t := p.peek(); !t.is(text) {
		p.unexpected(t, strconv.Quote(text))
	}
	return p.next()
}

// end reads the end of a statement.
func (p *parser) end() {
	switch t := p.peek(); {
	case t.kind == newline:
		p.next()
	case t.kind == endOfText, t.is("}"):
	default:
		p.unexpected(t, "the end of the statement")
	}
}

func (p *parser) word(wanted string) string {
	t := p.peek()
	if t.kind != word {
		p.unexpected(t, wanted)
	}
	return p.next().text
}

func (p *parser) string(wanted string) string {
	t := p.peek()
	if t.kind != quoted {
		p.unexpected(t, wanted+" in quotes")
	}
	return p.next().text
}

func (p *parser) number(wanted string) int {
	t := p.peek()
	n, ok := decimal(t.text, 1<<62)
	if t.kind != word || !ok {
		p.unexpected(t, wanted)
	}
	p.next()
	return int(n)
}

// name reads the name of a table, chain or set.
func (p *parser) name() string {
	t := p.peek()
	if t.kind != word || !isName(t.text) {
		p.unexpected(t, "a name")
	}
	return p.next().text
}

// isName reports whether nft reads a word as a name.
func isName(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c == '.'
		if !letter && (i == 0 || c != '-' && c != '/' && (c < '0' || '9' < c)) {
			return false
		}
	}
	return text != "" && text != "."
}

var families = []string{"ip", "ip6", "inet", "arp", "bridge", "netdev"}

// command reads a command of a file; nil for one that changes no table.
func (p *parser) command() *Command {
	start := p.peek()
	c := &Command{Verb: "add", Object: p.word("a command")}
	switch c.Object {
	case "add", "flush", "delete", "destroy":
		c.Verb, c.Object = c.Object, p.word("what to "+c.Object)
	}
	if c.Object == "ruleset" && c.Verb == "flush" {
		p.end()
		c.Range = p.span(start, start)
		return c
	}
	if !slices.Contains([]string{"table", "chain", "set", "element"}, c.Object) || c.Object == "element" && c.Verb != "add" {
		p.fail(start, "The commands that are understood are table, and add, flush, delete and destroy for table, chain and set, and add element.")
	}
	if slices.Contains(families, p.peek().text) {
		c.Family = p.next().text
	} else {
		c.Family = "ip"
	}
	last := p.peek()
	c.Table = p.name()
	if c.Object != "table" {
		last = p.peek()
		c.Name = p.name()
	}
	c.Range = p.span(start, last)
	switch {
	case c.Object == "element":
		c.Elements = &Set{Name: c.Name, Range: c.Range}
		p.elements(c.Elements)
	case c.Object == "table" && c.Verb == "add" && p.peek().is("{"):
		c.Block = &Table{Family: c.Family, Name: c.Table, Sets: map[string]*Set{}, Range: c.Range}
		p.block(c.Block)
	case c.Object != "table" && c.Verb == "add":
		p.fail(start, "Chains and sets are understood within the braces of a table.")
	}
	p.end()
	return c
}

// passive are objects of a table that have an effect only through rules that refer to them.
var passive = []string{"counter", "quota", "limit", "flowtable", "secmark", "synproxy", "ct"}

// block reads the braces of a table.
func (p *parser) block(t *Table) {
	p.family = t.Family
	defer func() { p.family = "" }()
	p.expect("{")
	for p.skipNewlines(); !p.accept("}"); p.skipNewlines() {
		start := p.peek()
		if start.kind == endOfText {
			p.unexpected(start, `"}"`)
		}
		p.attempt(start, func() {
			kind := p.word("chain, set, map or }")
			switch {
			case kind == "comment":
				p.string("the comment")
				p.end()
			case kind == "flags":
				for p.peek().kind == word || p.peek().is(",") {
					t.Dormant = p.next().is("dormant") || t.Dormant
				}
				p.end()
			case kind == "chain":
				p.chain(t, start)
			case kind == "set", kind == "map":
				p.set(t, start, kind == "map")
			case slices.Contains(passive, kind) && p.peek().kind == word:
				p.skipStatement()
			default:
				p.fail(start, "Of a table its chains, sets and maps are understood.")
			}
		})
	}
}

// chain reads a chain. Its rules are read one by one, so that each has its diagnostics.
func (p *parser) chain(t *Table, start token) {
	at := p.peek()
	c := &Chain{Name: p.name(), Range: p.span(start, at)}
	if t.Chain(c.Name) != nil {
		p.fail(at, "There is a chain %s already in this table.", c.Name)
	}
	p.expect("{")
	t.Chains = append(t.Chains, c)
	for p.skipNewlines(); !p.accept("}"); p.skipNewlines() {
		first := p.peek()
		if first.kind == endOfText {
			p.unexpected(first, `"}"`)
		}
		p.attempt(first, func() {
			switch {
			case first.is("type"):
				p.hook(c)
			case first.is("policy"):
				p.next()
				c.Policy = p.policy()
				p.end()
			case first.is("comment"):
				p.next()
				p.string("the comment")
				p.end()
			default:
				c.Rules = append(c.Rules, p.rule())
			}
		})
	}
	p.end()
}

// policy reads the policy of a base chain.
func (p *parser) policy() string {
	t := p.peek()
	if !t.is("accept") && !t.is("drop") {
		p.unexpected(t, "accept or drop")
	}
	return p.next().text
}

// hook reads type filter hook forward priority filter - 10.
func (p *parser) hook(c *Chain) {
	p.expect("type")
	c.Type = p.word("the type of the chain")
	p.expect("hook")
	c.Hook = p.word("a hook")
	if p.accept("device") {
		p.string("the device")
	}
	p.expect("priority")
	c.Priority = p.priority()
	c.Policy = "accept"
	p.end()
}

var (
	priorities       = map[string]int{"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
	bridgePriorities = map[string]int{"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300}
)

// priority reads a number, or a name with an offset.
func (p *parser) priority() int {
	t := p.peek()
	text := p.word("a priority")
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return int(n)
	}
	names := priorities
	if p.family == "bridge" {
		names = bridgePriorities
	}
	n, ok := names[text]
	if !ok {
		p.unexpected(t, "a priority")
	}
	switch {
	case p.accept("+"):
		n += p.number("a number")
	case p.accept("-"):
		n -= p.number("a number")
	}
	return n
}

// rule reads one rule.
func (p *parser) rule() *Rule {
	start := p.peek()
	last := start
	r := &Rule{}
	p.handle = 0
	for {
		t := p.peek()
		if t.kind == newline || t.kind == endOfText || t.is("}") {
			break
		}
		if t.is("comment") {
			p.next()
			last = p.peek()
			r.Comment = p.string("the comment")
			break
		}
		r.Expr = append(r.Expr, p.statement())
		last = p.before
	}
	r.Range = p.span(start, last)
	r.Handle = p.handle
	p.end()
	return r
}
