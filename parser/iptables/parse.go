package iptables

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// ParseRules reads a file for iptables-restore or ip6tables-restore, or what their -save
// counterparts print. It continues after a bad line: the file that it returns has each
// line that it could read. Diagnostics, of the code [diag.CodeDumpSyntax], report the others up to
// a limit.
func ParseRules(r io.Reader, filename string) (*RulesFile, hcl.Diagnostics) {
	return parseRules(&ruleParser{file: &RulesFile{Name: filename}}, r)
}

func parseRules(p *ruleParser, r io.Reader) (*RulesFile, hcl.Diagnostics) {
	p.read(r, p.file.Name)
	if p.block != nil {
		p.block.End = p.last.whole()
		p.errorf(p.last, p.last.whole(), "COMMIT missing",
			"The table %q has no COMMIT line, so nothing in it is applied. If iptables-save printed this file, it is truncated: save it again. If you wrote it, add a line COMMIT.", p.block.Table)
	}
	return p.file, p.problems.done()
}

// ParseListing reads what `iptables -S` prints: the commands of one table, without the
// *TABLE line and without COMMIT.
func ParseListing(r io.Reader, filename, table string) (*RulesFile, hcl.Diagnostics) {
	whole := hcl.Range{Filename: filename, Start: hcl.InitialPos, End: hcl.InitialPos}
	p := &ruleParser{file: &RulesFile{Name: filename}, block: &Block{Table: table, Committed: true, Range: whole, End: whole}}
	p.file.Blocks = []*Block{p.block}
	p.read(r, filename)
	return p.file, p.problems.done()
}

// read parses all lines of r.
func (p *ruleParser) read(r io.Reader, filename string) {
	var src strings.Builder
	_, err := io.Copy(&src, r)
	if err != nil {
		rng := hcl.Range{Filename: filename, Start: hcl.InitialPos, End: hcl.InitialPos}
		p.problems.add(diag.CodeDumpSyntax, hcl.DiagError, rng, "", "Unreadable file", fmt.Sprintf("Reading stopped: %s.", err))
	}
	eachLine(filename, src.String(), p.line)
}

type ruleParser struct {
	file     *RulesFile
	block    *Block // nil between tables
	problems problems
	last     line
	sawCR    bool
	known    *Known // nil for a file alone
}

func (p *ruleParser) errorf(l line, rng hcl.Range, summary, format string, args ...any) {
	if p.block != nil {
		p.block.Broken = true
	}
	p.problems.add(diag.CodeDumpSyntax, hcl.DiagError, rng, l.text, summary, fmt.Sprintf(format, args...))
}

// line reads one line. Its forms are tried in the order in which iptables-restore tries
// them: docs/contributing/netfilter.md, "Restore lines".
func (p *ruleParser) line(l line, ended bool) {
	p.last = l
	if s, found := strings.CutSuffix(l.text, "\r"); found {
		if !p.sawCR {
			p.errorf(l, l.span(len(s), len(l.text)), "Carriage return",
				"Lines end in CR LF, and iptables-restore reads the CR as part of the last word. Save the file with LF only.")
		}
		p.sawCR = true
		l.text = s
	}
	switch {
	case l.text == "" || l.text[0] == '#':
	case strings.IndexByte(l.text, 0) >= 0:
		p.errorf(l, l.whole(), "NUL byte in line", "iptables-restore ignores the rest of the line. Is this a text file?")
	case len(l.text) > maxRuleLine:
		p.errorf(line{text: l.text[:80]}, l.span(0, 0), "Line too long",
			"The line has %d bytes; iptables-restore splits lines of more than %d bytes in the middle of a word.", len(l.text), maxRuleLine)
	case p.block != nil && l.text == "COMMIT":
		if !ended {
			p.problems.add(diag.CodeDumpSyntax, hcl.DiagWarning, l.whole(), l.text, "Newline missing",
				"The file does not end in a newline, and iptables-legacy-restore does not recognize this COMMIT. Add a newline.")
		}
		p.block.Committed, p.block.End, p.block = true, l.whole(), nil
	case l.text[0] == '*':
		p.table(l)
	case p.block == nil:
		p.errorf(l, l.whole(), "Line outside a table",
			"Only comments and empty lines are allowed outside a table. A table begins with a line such as *filter and ends with COMMIT.")
	case l.text[0] == ':':
		p.declare(l)
	case p.known != nil:
		p.knownCommand(l)
	default:
		p.command(l)
	}
}

func (p *ruleParser) table(l line) {
	if p.block != nil {
		p.errorf(l, l.whole(), "COMMIT missing",
			"Another table begins before the COMMIT of table %q. Add COMMIT before this line.", p.block.Table)
		p.block.End = l.whole()
		p.block = nil
	}
	fields := strings.Fields(l.text[1:])
	if len(fields) == 0 {
		p.errorf(l, l.whole(), "Table name missing", "Write the name directly after the asterisk: *filter.")
		fields = []string{""}
	}
	p.block = &Block{Table: fields[0], Range: l.whole(), Broken: fields[0] == ""}
	p.file.Blocks = append(p.file.Blocks, p.block)
}

func (p *ruleParser) declare(l line) {
	fields := strings.Fields(l.text[1:])
	if len(fields) < 2 {
		p.errorf(l, l.whole(), "Chain declaration incomplete",
			"Write the name and the policy, or - for a chain without one: `:NAME - [0:0]`.")
		return
	}
	c := &Command{Op: Declare, Chain: fields[0], Policy: fields[1], Range: l.whole(), Line: l.text}
	if len(fields) > 2 {
		// iptables-restore ignores malformed counters here, too.
		c.Counters = parseCounters(fields[2])
	}
	if p.chainName(l, l.span(1, len(l.text)), c.Chain) {
		p.block.Commands = append(p.block.Commands, c)
	}
}

// chainName checks the name of a new chain: docs/contributing/netfilter.md, "Lengths of
// names and texts".
func (p *ruleParser) chainName(l line, rng hcl.Range, name string) bool {
	switch {
	case name == "":
		p.errorf(l, rng, "Chain name missing", "Write the name of the chain.")
	case len(name) > 28:
		p.errorf(l, rng, "Chain name too long", "The name %q has %d bytes; the maximum is 28.", name, len(name))
	case standardVerdicts[name]:
		p.errorf(l, rng, "Chain name taken", "%s is a verdict, so that a chain cannot have this name.", name)
	default:
		return true
	}
	return false
}

func parseCounters(s string) *Counters {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return nil
	}
	packets, bytes, _ := strings.Cut(s[1:len(s)-1], ":")
	return countersOf(packets, bytes)
}

func countersOf(packets, bytes string) *Counters {
	p, err1 := strconv.ParseUint(packets, 10, 64)
	b, err2 := strconv.ParseUint(bytes, 10, 64)
	if err1 != nil || err2 != nil {
		return nil
	}
	return &Counters{Packets: p, Bytes: b}
}

// command reads a line such as `[5:500] -A CHAIN ...`.
func (p *ruleParser) command(l line) {
	start := 0
	c := &Command{Range: l.whole(), Line: l.text}
	if l.text[0] == '[' {
		end := strings.IndexByte(l.text, ']')
		if end >= 0 {
			c.Counters = parseCounters(l.text[:end+1])
		}
		if c.Counters == nil {
			p.errorf(l, l.whole(), "Bad counters", "Write the counters before a rule as [packets:bytes].")
			return
		}
		start = end + 1
	}
	words, closed := splitWords(l.text, start)
	if !closed {
		last := words[len(words)-1]
		p.errorf(l, l.span(last.from, last.to), "Quote not closed",
			"iptables-restore reads everything up to the end of the line as one word, newline included. Close the quote.")
		return
	}
	if len(words) == 0 {
		p.errorf(l, l.whole(), "Blank line", "Inside a table, iptables-restore refuses a line of spaces or tabs. Remove them.")
		return
	}
	if len(words) > maxWords {
		p.errorf(l, l.whole(), "Too many words", "The line has %d words; iptables-restore accepts %d.", len(words), maxWords)
		return
	}
	for _, w := range words {
		if len(w.text) > maxWord {
			p.errorf(l, l.span(w.from, w.to), "Word too long",
				"The word has %d bytes; iptables-restore accepts %d. Use a set for a long list of addresses.", len(w.text), maxWord)
			return
		}
	}
	s := &spec{p: p, line: l, words: words, cmd: c, rule: &Rule{Range: l.whole()}}
	if s.parse() {
		p.block.Commands = append(p.block.Commands, c)
	}
}
