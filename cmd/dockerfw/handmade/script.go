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
	"echo", "printf", "set", "sleep", "logger", "date", "id",
	"systemctl", "service", "sysctl", "modprobe", "apt", "apt-get", "yum", "dnf", "apk", "mkdir", "chmod", "touch",
	"netfilter-persistent", "iptables-save", "ip6tables-save",
}

// ruleServices are services that load rules or sets of their own, or flush them.
var ruleServices = []string{"iptables", "ip6tables", "netfilter-persistent", "ipset", "ipset-persistent", "nftables"}

// isHarmless reports whether a command changes no rules and no sets.
func isHarmless(words []string) bool {
	tool, arguments := path.Base(words[0]), words[1:]
	switch tool {
	case "netfilter-persistent":
		return slices.Equal(arguments, []string{"save"})
	case "systemctl", "service":
		return slices.Contains(arguments, "save") || slices.Contains(arguments, "enable") && !slices.Contains(arguments, "--now") ||
			!slices.ContainsFunc(arguments, func(w string) bool { return slices.Contains(ruleServices, strings.TrimSuffix(w, ".service")) })
	}
	return slices.Contains(harmless, tool)
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
	// refused: the way to import what only a shell can follow was described.
	refused bool
	// ended is whether the script has run exit.
	ended bool
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
	if x.refused {
		x.diags = append(x.diags, problem(x.rangeOf(n), what+" in a script", "Import the state instead, as above."))
		return
	}
	x.refused = true
	x.diags = append(x.diags, problem(x.rangeOf(n), what+" in a script", "import follows plain iptables, ip6tables and ipset commands, and nothing that depends on the state of a host. %s", instead))
}

func (x *script) statements(stmts []*syntax.Stmt) {
	for _, s := range stmts {
		if x.statement(s, false); x.ended {
			return
		}
	}
}

// statement executes a command, and reports whether it succeeds; mayFail if the script goes on after a
// failure on purpose.
func (x *script) statement(s *syntax.Stmt, mayFail bool) (ok bool) {
	switch {
	case s.Background:
		x.refuse(s, "background command")
		return false
	case s.Negated:
		x.refuse(s, "negated command")
		return false
	}
	for _, r := range s.Redirs {
		to, ok := literal(r.Word)
		switch {
		case r.Op == syntax.RdrIn || r.Hdoc != nil || r.Op == syntax.WordHdoc:
			x.refuse(r, "input from a file")
			return false
		case !ok:
			x.refuse(r, "redirection to a computed name")
			return false
		case to == "/dev/null" && (r.N == nil || r.N.Value == "2"):
			mayFail = true
		}
	}
	switch c := s.Cmd.(type) {
	case nil:
		return true
	case *syntax.CallExpr:
		return x.call(c, mayFail)
	case *syntax.BinaryCmd:
		return x.binary(c)
	case *syntax.ForClause, *syntax.WhileClause:
		x.refuse(c, "loop")
	case *syntax.IfClause, *syntax.CaseClause, *syntax.TestClause:
		x.refuse(c, "condition")
	case *syntax.FuncDecl:
		x.refuse(c, "function")
	case *syntax.Block:
		for _, inner := range c.Stmts {
			if ok = x.statement(inner, mayFail); x.ended {
				return ok
			}
		}
		return ok
	default:
		x.refuse(c, "command of another kind")
	}
	return false
}

// binary executes the second command only if the first succeeds ("&&") or fails ("||") on a host with
// nothing but Docker's chains.
func (x *script) binary(c *syntax.BinaryCmd) (ok bool) {
	switch {
	case c.Op != syntax.AndStmt && c.Op != syntax.OrStmt:
		x.refuse(c, "pipe")
		return false
	case queriesHost(wordsOf(c.X)):
		x.refuse(c, "command that depends on another one")
		return false
	}
	problems := len(x.diags)
	ok = x.statement(c.X, true)
	if x.ended || len(x.diags) == problems && ok == (c.Op == syntax.OrStmt) {
		return ok
	}
	return x.statement(c.Y, false)
}

// queriesHost reports whether it depends on the services of a host if a command succeeds.
func queriesHost(words []string) bool {
	return len(words) > 0 && (path.Base(words[0]) == "systemctl" || path.Base(words[0]) == "service")
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

// call executes a simple command, and reports whether it succeeds.
func (x *script) call(c *syntax.CallExpr, mayFail bool) (ok bool) {
	words, ok := x.words(c)
	if !ok || len(words) == 0 {
		return false
	}
	tool := path.Base(words[0])
	f, isIPTables := familyOf(tool)
	switch {
	case isIPTables:
		return x.iptables(f, c, words[1:], mayFail)
	case tool == "ipset":
		return x.ipset(c, words[1:], mayFail)
	case tool == "exit":
		x.ended = true
	case tool == "true" || tool == ":":
	case isHarmless(words):
		if !slices.Contains(x.ignored, tool) {
			x.ignored = append(x.ignored, tool)
		}
	default:
		x.refuse(c, fmt.Sprintf("command %q", tool))
		return false
	}
	return true
}

// iptablesCommand is the command among the words of iptables, such as "-A", and the words after it.
func iptablesCommand(words []string) (command string, rest []string) {
	long := map[string]string{
		"append": "-A", "insert": "-I", "delete": "-D", "replace": "-R", "check": "-C", "flush": "-F", "zero": "-Z",
		"new-chain": "-N", "delete-chain": "-X", "policy": "-P", "rename-chain": "-E", "list": "-L", "list-rules": "-S",
	}
	for i, w := range words {
		rest := words[i+1:]
		name, isLong := strings.CutPrefix(w, "--")
		if name, value, attached := strings.Cut(name, "="); isLong && attached && long[name] != "" {
			return long[name], append([]string{value}, rest...)
		}
		switch {
		case isLong && long[name] != "":
			return long[name], rest
		case isLong || len(w) < 2 || w[0] != '-':
		case strings.ContainsRune("AIDRCFZNXPELS", rune(w[1])):
			if len(w) > 2 {
				rest = append([]string{w[2:]}, rest...) // -ADOCKER-USER
			}
			return w[:2], rest
		case strings.Trim(w[1:], "Lnvx") == "" && strings.Contains(w, "L"): // -nvL
			return "-L", rest
		}
	}
	return "", nil
}

// iptables executes a command of iptables or ip6tables, and reports whether it succeeds.
func (x *script) iptables(f ir.Family, c *syntax.CallExpr, words []string, mayFail bool) (ok bool) {
	command, rest := iptablesCommand(words)
	if command == "-L" || command == "-S" { // it prints
		chains := x.source.rules(f).Table("filter")
		x.engineChains(x.source.rules(f), "filter")
		return len(rest) == 0 || strings.HasPrefix(rest[0], "-") || chains.Chain(rest[0]) != nil
	}
	diags, understood := x.load(f, c, words)
	if !diags.HasErrors() {
		return true
	}
	// Removing what is not there is how scripts begin, also those that do not ignore the failure:
	// here nothing is there before. A command that is not understood is another matter: the host may
	// have its extension.
	if understood && (mayFail || slices.Contains([]string{"-D", "-F", "-X", "-N"}, command)) {
		if command != "-C" {
			x.failed = append(x.failed, fmt.Sprintf("%s:%d: skipped, because it fails where nothing but Docker's chains is there: %s", x.path, c.Pos().Line(), diags[0].Summary))
		}
		return false
	}
	x.diags = append(x.diags, diags...)
	return false
}

// freeText are options whose value may look like another option.
var freeText = []string{"--comment", "--log-prefix", "--nflog-prefix", "--string", "--hex-string", "--name", "--hashlimit-name"}

// isWait reports whether a word of iptables is how long to wait for its lock, as in -w5.
func isWait(w string) bool {
	for _, option := range []string{"-w", "-W", "--wait=", "--wait-interval="} {
		if seconds, ok := strings.CutPrefix(w, option); ok && seconds != "" && strings.Trim(seconds, "0123456789") == "" {
			return true
		}
	}
	return false
}

// load executes one command on the simulated tables. understood is false if its words are not those of
// a command with known matches and targets.
func (x *script) load(f ir.Family, c *syntax.CallExpr, words []string) (diags hcl.Diagnostics, understood bool) {
	table := "filter"
	var rest []string
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case i > 0 && slices.Contains(freeText, words[i-1]):
			rest = append(rest, w)
		case (w == "-t" || w == "--table") && i+1 < len(words):
			i++
			table = words[i]
		case strings.HasPrefix(w, "--table="):
			table = strings.TrimPrefix(w, "--table=")
		case strings.HasPrefix(w, "-t"):
			table = strings.TrimPrefix(w, "-t")
		case isWait(w):
		case w == "-w" || w == "--wait" || w == "-W" || w == "--wait-interval":
			if i+1 < len(words) && strings.Trim(words[i+1], "0123456789") == "" {
				i++
			}
		case w == "-v" || w == "--verbose" || w == "-n" || w == "--numeric":
		default:
			rest = append(rest, w)
		}
	}
	rules := x.source.rules(f)
	x.engineChains(rules, table)
	at := x.rangeOf(c)
	file, diags := iptables.ParseRules(strings.NewReader("*"+table+"\n"+commandText(rest)+"\nCOMMIT\n"), x.path)
	if understood = !diags.HasErrors(); understood {
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
		understood = !slices.ContainsFunc(diags, func(d *hcl.Diagnostic) bool { return d.Summary == "No such target" })
	}
	return x.relocated(diags, at), understood
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

// ipset executes a command of ipset, and reports whether it succeeds.
func (x *script) ipset(c *syntax.CallExpr, words []string, mayFail bool) (ok bool) {
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
		return false
	case slices.Contains([]string{"list", "save", "-L", "-S", "-l", "version"}, words[0]):
		i := slices.IndexFunc(words[1:], func(w string) bool { return !strings.HasPrefix(w, "-") })
		return i < 0 || x.source.Sets.Set(words[1+i]) != nil
	case words[0] == "restore" || words[0] == "-R":
		x.refuse(c, "ipset restore")
		return false
	}
	at := x.rangeOf(c)
	file, diags := iptables.ParseSets(strings.NewReader(commandText(words)+"\n"), x.path)
	understood := !diags.HasErrors()
	if understood {
		diags = append(diags, x.source.Sets.Load(file)...)
	}
	if !diags.HasErrors() {
		return true
	}
	if understood && (mayFail || slices.Contains([]string{"flush", "destroy", "del"}, words[0])) {
		x.failed = append(x.failed, fmt.Sprintf("%s:%d: skipped, because it fails on a host without sets: %s", x.path, c.Pos().Line(), diags[0].Summary))
		return false
	}
	x.diags = append(x.diags, x.relocated(diags, at)...)
	return false
}
