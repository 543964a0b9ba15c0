package handmade

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"mvdan.cc/sh/v3/syntax"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// instead is what to do with a script that cannot be followed.
const instead = "Import the state that it makes instead. On the host: iptables-save > rules.v4; ip6tables-save > rules.v6; ipset save > sets."

// harmless are commands that change no rules and no sets.
var harmless = []string{
	"echo", "printf", "true", ":", "set", "exit", "sleep", "logger", "date", "id",
	"systemctl", "service", "sysctl", "modprobe", "apt", "apt-get", "yum", "dnf", "apk", "mkdir", "chmod", "touch",
	"netfilter-persistent", "iptables-save", "ip6tables-save",
}

// script executes the commands of a shell script on simulated tables.
type script struct {
	source *Source
	path   string
	diags  hcl.Diagnostics
	// ignored are the commands that were not executed, each once.
	ignored []string
	// failed are commands that fail on a host, and change nothing there.
	failed []string
}

// addScript executes the iptables and ipset commands of a script, one after the other.
func (s *Source) addScript(path, text string) hcl.Diagnostics {
	x := &script{source: s, path: path}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), path)
	if err != nil {
		at, why := hcl.InitialPos, err.Error()
		if e := (syntax.ParseError{}); errors.As(err, &e) {
			at, why = position(e.Pos), e.Text
		} else if e := (syntax.LangError{}); errors.As(err, &e) {
			at, why = position(e.Pos), e.Feature+" is not supported"
		}
		return hcl.Diagnostics{problem(hcl.Range{Filename: path, Start: at, End: at}, "no shell script", "%s.", why)}
	}
	x.statements(file.Stmts)
	if len(x.ignored) > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("%s: commands that change no rules were skipped: %s", path, strings.Join(x.ignored, ", ")))
	}
	s.Notes = append(s.Notes, x.failed...)
	return x.diags
}

func position(p syntax.Pos) hcl.Pos {
	return hcl.Pos{Line: max(1, int(p.Line())), Column: max(1, int(p.Col())), Byte: int(p.Offset())}
}

func (x *script) rangeOf(n syntax.Node) hcl.Range {
	start, end := position(n.Pos()), position(n.End())
	if end.Line > start.Line { // the rest of the first line is enough to find it
		end = start
	}
	return hcl.Range{Filename: x.path, Start: start, End: end}
}

// refuse reports something that only a shell can follow.
func (x *script) refuse(n syntax.Node, what string) {
	x.diags = append(x.diags, problem(x.rangeOf(n), what+" in a script", "import follows plain iptables, ip6tables and ipset commands, and nothing that depends on the state of a host. %s", instead))
}

func (x *script) statements(stmts []*syntax.Stmt) {
	for _, s := range stmts {
		x.statement(s, false)
	}
}

// statement executes a command; mayFail if the script goes on after a failure on purpose.
func (x *script) statement(s *syntax.Stmt, mayFail bool) {
	switch {
	case s.Background:
		x.refuse(s, "background command")
		return
	case s.Negated:
		x.refuse(s, "negated command")
		return
	}
	for _, r := range s.Redirs {
		to, ok := literal(r.Word)
		switch {
		case r.Op == syntax.RdrIn || r.Hdoc != nil || r.Op == syntax.WordHdoc:
			x.refuse(r, "input from a file")
			return
		case !ok:
			x.refuse(r, "redirection to a computed name")
			return
		case to == "/dev/null" && (r.N == nil || r.N.Value == "2"):
			mayFail = true
		}
	}
	switch c := s.Cmd.(type) {
	case nil:
	case *syntax.CallExpr:
		x.call(c, mayFail)
	case *syntax.BinaryCmd:
		x.binary(c)
	case *syntax.ForClause, *syntax.WhileClause:
		x.refuse(c, "loop")
	case *syntax.IfClause, *syntax.CaseClause, *syntax.TestClause:
		x.refuse(c, "condition")
	case *syntax.FuncDecl:
		x.refuse(c, "function")
	case *syntax.Block:
		x.statements(c.Stmts)
	default:
		x.refuse(c, "command of another kind")
	}
}

// binary executes "a && b" as both, and two idioms with "||": "a || true", and "iptables -C RULE ||
// iptables -A RULE", which adds a rule that is not there.
func (x *script) binary(c *syntax.BinaryCmd) {
	switch c.Op {
	case syntax.AndStmt:
		x.statement(c.X, false)
		x.statement(c.Y, false)
		return
	case syntax.OrStmt:
		if words := wordsOf(c.Y); len(words) > 0 && slices.Contains([]string{"true", ":", "echo", "exit"}, words[0]) {
			x.statement(c.X, true)
			return
		}
		check, add := wordsOf(c.X), wordsOf(c.Y)
		if i := slices.Index(check, "-C"); i > 0 && len(add) > i && sameBut(check, add, i) {
			x.addIfMissing(c)
			return
		}
		x.refuse(c, "command that depends on another one")
		return
	}
	x.refuse(c, "pipe")
}

// sameBut reports whether two commands differ only in the word at an index, or in the number after
// it, as of -I CHAIN 1.
func sameBut(check, add []string, at int) bool {
	if !slices.Contains([]string{"-A", "-I"}, add[at]) || !slices.Equal(check[:at], add[:at]) {
		return false
	}
	rest := slices.Clone(add[at+1:])
	if len(rest) > 1 && strings.Trim(rest[1], "0123456789") == "" {
		rest = slices.Delete(rest, 1, 2)
	}
	return slices.Equal(check[at+1:], rest)
}

// addIfMissing executes the second command of "-C RULE || -A RULE" if the rule is not there.
func (x *script) addIfMissing(c *syntax.BinaryCmd) {
	call, ok := c.X.Cmd.(*syntax.CallExpr)
	if !ok {
		x.refuse(c, "command that depends on another one")
		return
	}
	words, _ := x.words(call)
	f, _ := familyOf(words[0])
	if diags := x.load(f, call, words[1:]); diags.HasErrors() {
		x.statement(c.Y, false)
	}
}

// familyOf is the family of a tool of iptables.
func familyOf(tool string) (f ir.Family, ok bool) {
	name := path.Base(tool)
	for _, end := range []string{"-nft", "-legacy"} {
		name = strings.TrimSuffix(name, end)
	}
	f, ok = map[string]ir.Family{"iptables": ir.IPv4, "ip6tables": ir.IPv6}[name]
	return f, ok
}

func (x *script) call(c *syntax.CallExpr, mayFail bool) {
	words, ok := x.words(c)
	if !ok || len(words) == 0 {
		return
	}
	tool := path.Base(words[0])
	f, isIPTables := familyOf(tool)
	switch {
	case isIPTables:
		x.iptables(f, c, words[1:], mayFail)
	case tool == "ipset":
		x.ipset(c, words[1:], mayFail)
	case slices.Contains(harmless, tool):
		if !slices.Contains(x.ignored, tool) {
			x.ignored = append(x.ignored, tool)
		}
	default:
		x.refuse(c, fmt.Sprintf("command %q", tool))
	}
}

// iptables executes a command of iptables or ip6tables.
func (x *script) iptables(f ir.Family, c *syntax.CallExpr, words []string, mayFail bool) {
	if i := slices.IndexFunc(words, func(w string) bool { return w == "-L" || w == "-S" || w == "--list" || w == "--list-rules" }); i >= 0 {
		return // it prints
	}
	diags := x.load(f, c, words)
	if !diags.HasErrors() {
		return
	}
	// Removing what is not there is how scripts begin, also those that do not ignore the failure:
	// here nothing is there before.
	removes := slices.ContainsFunc(words, func(w string) bool {
		return slices.Contains([]string{"-D", "-F", "-X", "--delete", "--flush", "--delete-chain"}, w)
	})
	creates := slices.ContainsFunc(words, func(w string) bool { return w == "-N" || w == "--new-chain" })
	if mayFail || removes || creates {
		x.failed = append(x.failed, fmt.Sprintf("%s:%d: skipped, because it fails where nothing but Docker's chains is there: %s", x.path, c.Pos().Line(), diags[0].Summary))
		return
	}
	x.diags = append(x.diags, diags...)
}

// load executes one command on the simulated tables.
func (x *script) load(f ir.Family, c *syntax.CallExpr, words []string) hcl.Diagnostics {
	table := "filter"
	var rest []string
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case (w == "-t" || w == "--table") && i+1 < len(words):
			i++
			table = words[i]
		case strings.HasPrefix(w, "--table="):
			table = strings.TrimPrefix(w, "--table=")
		case w == "-w" || w == "--wait" || w == "-W" || w == "--wait-interval":
			if i+1 < len(words) && strings.Trim(words[i+1], "0123456789") == "" {
				i++
			}
		case strings.HasPrefix(w, "--wait=") || w == "-v" || w == "--verbose" || w == "-n" || w == "--numeric":
		default:
			rest = append(rest, w)
		}
	}
	rules := x.source.rules(f)
	x.engineChains(rules, table)
	at := x.rangeOf(c)
	file, diags := iptables.ParseRules(strings.NewReader("*"+table+"\n"+commandText(rest)+"\nCOMMIT\n"), x.path)
	if !diags.HasErrors() {
		for _, b := range file.Blocks {
			b.Range, b.End = at, at
			for _, command := range b.Commands {
				command.Range = at
				if command.Rule != nil {
					command.Rule.Range = at
				}
			}
		}
		diags = append(diags, rules.Load(file)...)
	}
	return x.relocated(diags, at)
}

// relocated moves diagnostics about the text of one command to its place in the script.
func (x *script) relocated(diags hcl.Diagnostics, at hcl.Range) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, d := range diags {
		detail, _, _ := strings.Cut(d.Detail, " Nothing in this block")
		out = append(out, problem(at, d.Summary, "%s", detail))
	}
	return out
}

// engineChains adds the chains that engines make before a script runs.
func (x *script) engineChains(rules *iptables.Ruleset, table string) {
	t := rules.Table("filter")
	if table != "filter" || t.Chain("DOCKER-USER") != nil {
		return
	}
	file, _ := iptables.ParseRules(strings.NewReader("*filter\n:DOCKER - [0:0]\n:DOCKER-USER - [0:0]\nCOMMIT\n"), x.path)
	rules.Load(file)
}

// ipset executes a command of ipset.
func (x *script) ipset(c *syntax.CallExpr, words []string, mayFail bool) {
	if len(words) > 0 {
		// Options may be written before the command: ipset -exist create NAME.
		for len(words) > 1 && strings.HasPrefix(words[0], "-") && !slices.Contains([]string{"-N", "-A", "-D", "-F", "-X", "-T", "-E", "-W"}, words[0]) {
			words = append(slices.Clone(words[1:]), words[0])
		}
		long := map[string]string{"-N": "create", "n": "create", "-A": "add", "a": "add", "-D": "del", "d": "del", "-F": "flush", "f": "flush", "-X": "destroy", "x": "destroy", "--create": "create", "--add": "add"}
		words = append([]string{cmp.Or(long[words[0]], words[0])}, words[1:]...)
		for i, w := range words {
			if w == "-!" {
				words[i] = "-exist"
			}
		}
	}
	switch {
	case len(words) == 0:
		return
	case slices.Contains([]string{"list", "save", "-L", "-S", "-l", "version"}, words[0]):
		return
	case words[0] == "restore" || words[0] == "-R":
		x.refuse(c, "ipset restore")
		return
	}
	at := x.rangeOf(c)
	file, diags := iptables.ParseSets(strings.NewReader(commandText(words)+"\n"), x.path)
	if !diags.HasErrors() {
		diags = append(diags, x.source.Sets.Load(file)...)
	}
	if !diags.HasErrors() {
		return
	}
	if mayFail || slices.Contains([]string{"flush", "destroy", "del"}, words[0]) {
		x.failed = append(x.failed, fmt.Sprintf("%s:%d: skipped, because it fails on a host without sets: %s", x.path, c.Pos().Line(), diags[0].Summary))
		return
	}
	x.diags = append(x.diags, x.relocated(diags, at)...)
}
