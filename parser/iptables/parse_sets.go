package iptables

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/addrlist"
	"github.com/dockerfw/dockerfw/parser/diag"
)

const (
	// maxSetLine is the length after which ipset cuts a line:
	// docs/contributing/netfilter.md, "ipset restore is not a transaction".
	maxSetLine = 1023
	// maxSetName is the length of the longest name of a set:
	// docs/contributing/netfilter.md, "Names of sets".
	maxSetName = 31
)

// ParseSets reads a file for ipset restore, or what ipset save prints. It continues after
// a bad line: the file that it returns has each line that it could read. Diagnostics, of
// the code [diag.CodeDumpSyntax], report the others up to a limit.
func ParseSets(r io.Reader, filename string) (*SetsFile, hcl.Diagnostics) {
	return parseSets(r, filename, plainLength, nil)
}

// ParseKnownSets is ParseSets for a file that is expected to add the networks of known ranges, in
// order, to the sets of these names. Sets with exactly these share the memory of the ranges, which must
// not be changed afterwards; the result is the same in all other ways.
func ParseKnownSets(r io.Reader, filename string, known map[string]addrlist.Ranges) (*SetsFile, hcl.Diagnostics) {
	return parseSets(r, filename, plainLength, known)
}

// parseSets is ParseKnownSets with the number of entries from which on a run is kept as numbers.
func parseSets(r io.Reader, filename string, long int, known map[string]addrlist.Ranges) (*SetsFile, hcl.Diagnostics) {
	p := &setParser{file: &SetsFile{Name: filename}, long: long, known: known}
	size := 64 << 10
	if sized, ok := r.(interface{ Len() int }); ok {
		p.left = sized.Len
		size = min(size, sized.Len()) // plans are simulated line by line
	}
	if err := p.read(bufio.NewReaderSize(r, size)); err != nil {
		rng := hcl.Range{Filename: filename, Start: hcl.InitialPos, End: hcl.InitialPos}
		p.problems.add(diag.CodeDumpSyntax, hcl.DiagError, rng, "", "Unreadable file", fmt.Sprintf("Reading stopped: %s.", err))
	}
	return p.file, p.problems.done()
}

// read reads all lines. The text of a file with a million entries is never in memory as a
// whole.
func (p *setParser) read(r *bufio.Reader) error {
	l := line{file: p.file.Name}
	for {
		text, err := r.ReadSlice('\n')
		for err == bufio.ErrBufferFull {
			var rest []byte
			text = bytes.Clone(text)
			rest, err = r.ReadSlice('\n')
			text = append(text, rest...)
		}
		if err != nil && err != io.EOF {
			return err
		}
		if len(text) == 0 || p.done {
			return nil
		}
		l.number++
		size := len(text)
		text = bytes.TrimSuffix(text, []byte("\n"))
		if !p.plainLine(text, l.number) {
			l.text = string(text)
			l.wide = utf8.RuneCountInString(l.text) != len(l.text)
			p.line(l)
		}
		l.offset += size
		if err == io.EOF {
			return nil
		}
	}
}

type setParser struct {
	file     *SetsFile
	problems problems
	run      *SetCommand // the command that a further add or del joins; nil after any other
	words    []word      // reused from line to line
	done     bool        // after quit
	known    map[string]addrlist.Ranges
	long     int        // the number of entries from which on a run is kept as numbers
	left     func() int // the bytes still to be read; nil if not known
}

func (p *setParser) errorf(l line, rng hcl.Range, summary, format string, args ...any) {
	p.problems.add(diag.CodeDumpSyntax, hcl.DiagError, rng, l.text, summary, fmt.Sprintf(format, args...))
}

// splitSetWords splits a line as ipset does: spaces inside quotes do not end a word, the
// quotes are removed wherever they are, and there is no escape.
func splitSetWords(words []word, s string) (_ []word, ok bool) {
	for i := 0; i < len(s); {
		if isBlank(s[i]) {
			i++
			continue
		}
		w := word{from: i}
		open := false
		for ; i < len(s) && (open || !isBlank(s[i])); i++ {
			if s[i] == '"' {
				open, w.quoted = !open, true
			}
		}
		w.to = i
		w.text = s[w.from:i]
		if w.quoted {
			w.text = strings.ReplaceAll(w.text, `"`, "")
		}
		if open {
			return append(words, w), false
		}
		words = append(words, w)
	}
	return words, true
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' }

func (p *setParser) line(l line) {
	if len(l.text) > maxSetLine {
		p.errorf(line{text: l.text[:80]}, l.span(0, 0), "Line too long",
			"The line has %d bytes; ipset cuts lines after %d bytes.", len(l.text), maxSetLine)
		return
	}
	if strings.IndexByte(l.text, 0) >= 0 {
		p.errorf(l, l.whole(), "NUL byte in line", "ipset ignores the rest of the line. Is this a text file?")
		return
	}
	var closed bool
	p.words, closed = splitSetWords(p.words[:0], l.text)
	words := p.words
	if len(words) == 0 || words[0].text != "" && words[0].text[0] == '#' {
		return
	}
	if !closed {
		w := words[len(words)-1]
		p.errorf(l, l.span(w.from, w.to), "Quote not closed", "Close the quote. A comment cannot contain a quote.")
		return
	}
	exist := false
	kept := words[:0]
	for _, w := range words {
		switch {
		case w.quoted:
			kept = append(kept, w)
		case w.text == "-exist" || w.text == "-!" || w.text == "--exist":
			exist = true
		case w.text != "-quiet" && w.text != "-q":
			kept = append(kept, w)
		}
	}
	words = kept
	if len(words) == 0 {
		p.errorf(l, l.whole(), "Command missing", "Write a command before -exist.")
		return
	}
	switch words[0].text {
	case "COMMIT":
		p.run = nil
		return
	case "quit":
		p.done = true
		return
	}
	op, known := setCommandWords[words[0].text]
	if !known {
		p.errorf(l, l.span(words[0].from, words[0].to), "Unknown command", "%q is not a command of ipset restore.", words[0].text)
		return
	}
	switch op {
	case SetAdd, SetDel, SetTest:
		p.entry(l, op, words, exist)
	default:
		p.setCommand(l, op, words, exist)
	}
}

// setCommandWords are the spellings of commands that ipset accepts.
var setCommandWords = map[string]SetOp{
	"create": SetCreate, "n": SetCreate, "new": SetCreate, "-N": SetCreate,
	"add": SetAdd, "-A": SetAdd,
	"del": SetDel, "-D": SetDel,
	"test": SetTest, "-T": SetTest,
	"destroy": SetDestroy, "x": SetDestroy, "-X": SetDestroy,
	"flush": SetFlush, "-F": SetFlush,
	"rename": SetRename, "e": SetRename, "-E": SetRename,
	"swap": SetSwap, "w": SetSwap, "-W": SetSwap,
}

// hasArguments reports an error unless at least n words follow the command.
func (p *setParser) hasArguments(l line, words []word, n int) bool {
	if len(words) > n {
		return true
	}
	p.errorf(l, l.whole(), "Argument missing", "%s needs %s.", words[0].text, countOf(n, "argument"))
	return false
}

func (p *setParser) name(l line, w word) bool {
	if w.text == "" || len(w.text) > maxSetName {
		p.errorf(l, l.span(w.from, w.to), "Bad set name", "The name of a set has 1 to %d bytes.", maxSetName)
		return false
	}
	return true
}

func (p *setParser) setCommand(l line, op SetOp, words []word, exist bool) {
	p.run = nil
	c := &SetCommand{Op: op, Exist: exist, Range: l.whole()}
	least := map[SetOp]int{SetCreate: 2, SetRename: 2, SetSwap: 2}[op]
	if !p.hasArguments(l, words, least) {
		return
	}
	rest := words[1:]
	if len(rest) > 0 {
		if !p.name(l, rest[0]) {
			return
		}
		c.Set = strings.Clone(rest[0].text)
		rest = rest[1:]
	}
	switch op {
	case SetRename, SetSwap:
		if !p.name(l, rest[0]) {
			return
		}
		c.Other = strings.Clone(rest[0].text)
		rest = rest[1:]
	case SetCreate:
		c.Type = setType(strings.Clone(rest[0].text))
		if c.Type == "" {
			p.errorf(l, l.span(rest[0].from, rest[0].to), "Set type missing", "Write a type, such as hash:net.")
			return
		}
		var ok bool
		if c.Options, ok = p.options(l, rest[1:], createOptions); !ok {
			return
		}
		rest = nil
	}
	if len(rest) > 0 {
		p.errorf(l, l.span(rest[0].from, rest[0].to), "Stray word", "%s has no further argument.", op)
		return
	}
	p.file.Commands = append(p.file.Commands, c)
}

// setType replaces the old name of a type by the current one.
func setType(s string) string {
	switch s {
	case "iphash":
		return "hash:ip"
	case "nethash":
		return "hash:net"
	case "ipporthash":
		return "hash:ip,port"
	case "ipmap":
		return "bitmap:ip"
	case "macipmap":
		return "bitmap:ip,mac"
	case "portmap":
		return "bitmap:port"
	case "setlist":
		return "list:set"
	}
	return s
}

// createOptions and entryOptions have the number of values of each option.
var createOptions = map[string]int{
	"family": 1, "hashsize": 1, "maxelem": 1, "timeout": 1, "netmask": 1, "bitmask": 1, "markmask": 1,
	"size": 1, "range": 1, "bucketsize": 1, "initval": 1, "probes": 1, "resize": 1, "from": 1, "to": 1, "gc": 1,
	"counters": 0, "comment": 0, "skbinfo": 0, "forceadd": 0, "-4": 0, "-6": 0,
}

var entryOptions = map[string]int{
	"timeout": 1, "packets": 1, "bytes": 1, "comment": 1, "skbmark": 1, "skbprio": 1, "skbqueue": 1,
	"before": 1, "after": 1, "nomatch": 0, "wildcard": 0,
}

func (p *setParser) options(l line, words []word, known map[string]int) (_ []SetOption, ok bool) {
	var out []SetOption
	for i := 0; i < len(words); i++ {
		w := words[i]
		name := strings.TrimPrefix(w.text, "--")
		args, ok := known[name]
		if !ok {
			p.errorf(l, l.span(w.from, w.to), "Unknown option", "%q is not an option of this command.", w.text)
			return nil, false
		}
		o := SetOption{Name: strings.Clone(name)}
		switch name {
		case "-4":
			o = SetOption{"family", "inet"}
		case "-6":
			o = SetOption{"family", "inet6"}
		}
		for _, other := range out {
			if other.Name == o.Name {
				p.errorf(l, l.span(w.from, w.to), "Option given twice", "%s is already specified.", o.Name)
				return nil, false
			}
		}
		if args == 1 {
			i++
			if i == len(words) || words[i].text == "" {
				p.errorf(l, l.span(w.from, w.to), "Value missing", "The option %s needs a value.", name)
				return nil, false
			}
			o.Value = strings.Clone(words[i].text)
		}
		out = append(out, o)
	}
	return out, true
}

func (p *setParser) entry(l line, op SetOp, words []word, exist bool) {
	if !p.hasArguments(l, words, 2) || !p.name(l, words[1]) {
		return
	}
	e := Entry{Exist: exist, Line: int32(min(l.number, math.MaxInt32))}
	if words[2].text == "" {
		p.errorf(l, l.span(words[2].from, words[2].to), "Entry missing", "Write the address or other entry.")
		return
	}
	e.parse(words[2].text)
	if len(words) > 3 {
		options, ok := p.options(l, words[3:], entryOptions)
		if !ok {
			return
		}
		for _, o := range options {
			if o.Name == "nomatch" {
				e.NoMatch = true
			} else {
				e.Options = append(e.Options, o)
			}
		}
	}
	if p.run == nil || p.run.Op != op || p.run.Set != words[1].text {
		p.run = &SetCommand{Op: op, Set: strings.Clone(words[1].text), Exist: exist, Range: l.whole()}
		p.file.Commands = append(p.file.Commands, p.run)
	}
	p.run.expand()
	if n := len(p.run.Entries); n == cap(p.run.Entries) {
		// append grows long slices by a quarter, which copies a million entries too often.
		p.run.Entries = slices.Grow(p.run.Entries, max(n, 1))
	}
	p.run.Entries = append(p.run.Entries, e)
	if op == SetTest {
		p.run = nil
		return
	}
	if op == SetAdd && len(p.run.Entries) == p.long {
		p.run.compact(p.known[p.run.Set])
		if p.run.plain != nil && p.left != nil {
			p.run.plain.grow(p.left() / (len(l.text) + 1))
		}
	}
}

// parse sets the entry from its word. Only an unambiguous address is stored as one:
// names, and the octal and short forms that ipset accepts, stay text.
func (e *Entry) parse(s string) {
	if c := s[0]; c == ':' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' {
		if strings.IndexByte(s, '/') >= 0 {
			if prefix, err := netip.ParsePrefix(s); err == nil {
				e.Prefix = prefix.Masked()
				return
			}
		} else if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
			e.Prefix = netip.PrefixFrom(addr, addr.BitLen())
			return
		}
	}
	e.Text = strings.Clone(s)
}
