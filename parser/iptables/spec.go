package iptables

import (
	"slices"
	"strconv"
	"strings"
)

// spec sorts the words of one command line. iptables reads options in the order
// written, and an extension's options are known from its -m or -j on; so does this.
type spec struct {
	p     *ruleParser
	line  line
	words []word
	next  int // index of the word to read next
	cmd   *Command
	rule  *Rule
	text  []string
	// loaded are the extensions so far; the newest one that knows an option gets it.
	loaded []extension
}

// extension is a place options can belong to: a match by index, or the target.
type extension struct {
	match  int // index into rule.Matches; -1 for the target
	module *module
}

func (s *spec) fail(w word, summary, format string, args ...any) bool {
	s.p.errorf(s.line, s.line.span(w.from, w.to), summary, format, args...)
	return false
}

// parse returns false when it has reported an error.
func (s *spec) parse() bool {
	for s.next < len(s.words) {
		if !s.one() {
			return false
		}
	}
	first := s.words[0]
	if s.cmd.Op == "" {
		return s.fail(first, "Command missing", "The line names no command, such as -A CHAIN.")
	}
	s.rule.Chain = s.cmd.Chain
	s.rule.Text = strings.Join(s.text, " ")
	hasRule := len(s.text) > 0
	switch s.cmd.Op {
	case Append, Insert, Replace, Check:
		s.cmd.Rule = s.rule
	case Delete:
		if s.cmd.Number == 0 {
			s.cmd.Rule = s.rule
		} else if hasRule {
			return s.fail(first, "Rule besides a number", "-D takes either a rule or a number.")
		}
	default:
		if hasRule {
			return s.fail(first, "Rule besides a chain command", "%s takes no rule.", s.cmd.Op)
		}
	}
	return true
}

// take returns the next word; ok is false at the end of the line.
func (s *spec) take() (w word, ok bool) {
	if s.next >= len(s.words) {
		return word{}, false
	}
	s.next++
	return s.words[s.next-1], true
}

// one reads one option with its values, or a command with its operands.
func (s *spec) one() bool {
	start := s.next
	w, _ := s.take()
	not := false
	if w.text == "!" {
		not = true
		var ok bool
		if w, ok = s.take(); !ok || w.text == "!" {
			return s.fail(s.words[start], "Stray negation", "One ! stands before an option and inverts it.")
		}
	}
	name, attached, hasAttached := cutAttached(w.text)
	if !strings.HasPrefix(name, "-") || name == "-" || name == "--" {
		return s.fail(w, "Stray word", "%q is neither an option nor the value of one.", w.text)
	}
	if op, ok := commandWords[name]; ok {
		if not {
			return s.fail(w, "Stray negation", "A command cannot be inverted.")
		}
		return s.command(w, op)
	}
	if o := lookup(baseOptions, name); o != nil {
		if hasAttached {
			s.detach(w, name, attached)
		}
		return s.base(w, o, not)
	}
	return s.extended(w, not)
}

func cutAttached(s string) (name, value string, found bool) {
	if !strings.HasPrefix(s, "--") {
		return s, "", false
	}
	return strings.Cut(s, "=")
}

// detach makes the word just read, `--dport=80`, two: `--dport 80`.
func (s *spec) detach(w word, name, value string) {
	v := word{text: value, quoted: w.quoted, from: w.from, to: w.to}
	w.text = name
	s.words = slices.Concat(s.words[:s.next-1], []word{w, v}, s.words[s.next:])
}

// command reads the operands of a command: a chain and what else it takes.
func (s *spec) command(w word, op Op) bool {
	if s.cmd.Op != "" {
		return s.fail(w, "Second command", "The line has %s already; a line holds one command.", s.cmd.Op)
	}
	s.cmd.Op = op
	operand := func() (word, bool) {
		if s.next < len(s.words) && s.words[s.next].text != "!" && !strings.HasPrefix(s.words[s.next].text, "-") {
			return s.take()
		}
		return word{}, false
	}
	chain, ok := s.take()
	if !ok {
		if op == Flush || op == Zero || op == DeleteChain {
			return true
		}
		return s.fail(w, "Chain missing", "%s needs the name of a chain.", op)
	}
	s.cmd.Chain = chain.text
	if chain.text == "" {
		return s.fail(chain, "Chain missing", "%s needs the name of a chain.", op)
	}
	switch op {
	case Insert, Delete, Replace, Zero:
		n, ok := operand()
		if !ok && op == Replace {
			return s.fail(chain, "Rule number missing", "-R needs the number of the rule to replace.")
		}
		if !ok {
			break
		}
		number, err := strconv.ParseUint(n.text, 10, 31)
		if err != nil || number == 0 {
			return s.fail(n, "Bad rule number", "%q is not the number of a rule; they count from 1.", n.text)
		}
		s.cmd.Number = int(number)
	case SetPolicy, Rename:
		second, ok := operand()
		if !ok && op == SetPolicy {
			return s.fail(chain, "Policy missing", "-P needs a chain and a policy, ACCEPT or DROP.")
		}
		if !ok {
			return s.fail(chain, "New name missing", "-E needs the old and the new name of a chain.")
		}
		if op == SetPolicy {
			s.cmd.Policy = second.text
			return true
		}
		s.cmd.NewName = second.text
		return s.p.chainName(s.line, s.line.span(second.from, second.to), second.text)
	case NewChain:
		return s.p.chainName(s.line, s.line.span(chain.from, chain.to), chain.text)
	}
	return true
}

func (s *spec) base(w word, o *option, not bool) bool {
	from := s.next - 1
	if not && !o.inverts {
		return s.fail(w, "Stray negation", "There can be no ! before %s.", o.name)
	}
	opt, ok := s.values(w, o, not)
	if !ok {
		return false
	}
	switch o.name {
	case "-4", "-6":
		s.cmd.Only = map[string]Family{"-4": IPv4, "-6": IPv6}[o.name]
		return true
	case "-c":
		if s.cmd.Counters = countersOf(opt.Values[0], opt.Values[1]); s.cmd.Counters == nil {
			return s.fail(w, "Bad counters", "-c takes two numbers, packets and bytes.")
		}
		return true
	}
	s.write(from, not, bare)
	switch o.name {
	case "-t":
		return s.fail(w, "Table in a rule", "The -t option cannot be used here: the table is the one of the *NAME line.")
	case "-m":
		s.load(Match{Name: opt.Values[0], Range: opt.Range})
		return true
	case "-j", "-g":
		if s.rule.Jump != "" {
			return s.fail(w, "Second target", "A rule has one -j or -g.")
		}
		if opt.Values[0] == "" {
			return s.fail(w, "Target missing", "%s needs a target.", o.name)
		}
		s.rule.Jump, s.rule.Goto = opt.Values[0], o.name == "-g"
		if o.name == "-j" {
			s.loaded = append(s.loaded, extension{-1, targetModules[opt.Values[0]]})
		}
		return true
	}
	if s.rule.Option(o.name) != nil {
		return s.fail(w, "Option given twice", "A rule has one %s.", o.name)
	}
	s.rule.Base = append(s.rule.Base, opt)
	return true
}

func (s *spec) load(m Match) {
	s.rule.Matches = append(s.rule.Matches, m)
	s.loaded = append(s.loaded, extension{len(s.rule.Matches) - 1, matchModules[m.Name]})
}

// extended reads an option of a match or target.
func (s *spec) extended(w word, not bool) bool {
	from := s.next - 1
	name, attached, hasAttached := cutAttached(w.text)
	if !strings.HasPrefix(name, "--") && len(name) > 2 && strings.IndexByte("sdiopjgm", name[1]) >= 0 {
		return s.fail(w, "Option without a blank", "Write %s and its value as two words.", name[:2])
	}
	owner, o := s.owner(name)
	if o == nil && !s.guessing() {
		if b := abbreviated(baseOptions, name); b != nil {
			if hasAttached {
				s.detach(w, name, attached)
			}
			return s.base(w, b, not)
		}
	}
	if owner == nil {
		return s.fail(w, "Unknown option", "%s belongs to no match or target that stands before it.", name)
	}
	var opt Option
	how := asWritten
	if o == nil {
		opt = s.opaque(w, not)
	} else {
		if hasAttached {
			s.detach(w, name, attached)
		}
		var ok bool
		if opt, ok = s.values(w, o, not); !ok {
			return false
		}
		how = o.quoting
	}
	s.write(from, not, how)
	if owner.match < 0 {
		s.rule.Target = append(s.rule.Target, opt)
	} else {
		m := &s.rule.Matches[owner.match]
		m.Options = append(m.Options, opt)
	}
	return true
}

// owner finds the extension an option belongs to: the newest that knows it, in
// full or cut short, else the match that the protocol implies, else the newest,
// whose option is opaque.
func (s *spec) owner(name string) (*extension, *option) {
	for i := len(s.loaded) - 1; i >= 0; i-- {
		if o := s.loaded[i].module.option(name); o != nil {
			return &s.loaded[i], o
		}
	}
	long := strings.HasPrefix(name, "--")
	for i := len(s.loaded) - 1; i >= 0 && long && s.loaded[i].module != nil; i-- {
		if o := abbreviated(s.loaded[i].module.options, name); o != nil {
			return &s.loaded[i], o
		}
	}
	if p := s.rule.Option("-p"); p != nil {
		implied := impliedMatch(p.Value())
		o := matchModules[implied].option(name)
		if o == nil && long && implied != "" && !s.guessing() {
			o = abbreviated(matchModules[implied].options, name)
		}
		if o != nil {
			s.load(Match{Name: implied, Implied: true, Range: p.Range})
			return &s.loaded[len(s.loaded)-1], o
		}
	}
	if len(s.loaded) == 0 {
		return nil, nil
	}
	return &s.loaded[len(s.loaded)-1], nil
}

// guessing tells whether an unknown match or target came before, which may have
// options of any name.
func (s *spec) guessing() bool {
	return slices.ContainsFunc(s.loaded, func(e extension) bool { return e.module == nil })
}

// values reads the values of an option of known arity. They may look like
// options: the tool does not look either. A ! before them is the old spelling
// of the negation, except where any text may stand.
func (s *spec) values(w word, o *option, not bool) (Option, bool) {
	opt := Option{Name: o.name, Not: not, Range: s.line.span(w.from, w.to)}
	left := len(s.words) - s.next
	if o.args > 0 && o.quoting == bare && !not && left > o.args && s.words[s.next].text == "!" && !s.words[s.next].quoted {
		opt.Not = true
		s.next++
		left--
		if !o.inverts {
			return opt, s.fail(w, "Stray negation", "%s cannot be inverted.", o.name)
		}
	}
	if left < o.args {
		return opt, s.fail(w, "Value missing", "%s takes %d values.", o.name, o.args)
	}
	for range o.args {
		v, _ := s.take()
		opt.Values = append(opt.Values, v.text)
		opt.Range.End = s.line.span(v.to, v.to).End
	}
	return opt, true
}

// opaque reads an option nobody here knows, up to the next word that looks like
// an option.
func (s *spec) opaque(w word, not bool) Option {
	opt := Option{Name: w.text, Not: not, Opaque: true, Range: s.line.span(w.from, w.to)}
	for s.next < len(s.words) {
		v := s.words[s.next]
		if v.text == "!" && !opt.Not && len(opt.Values) == 0 &&
			s.next+1 < len(s.words) && !optionLike(s.words[s.next+1].text) && s.words[s.next+1].text != "!" {
			opt.Not = true
			s.next++
			continue
		}
		if v.text == "!" || optionLike(v.text) {
			break
		}
		opt.Values = append(opt.Values, v.text)
		opt.Range.End = s.line.span(v.to, v.to).End
		s.next++
	}
	return opt
}

// write adds the words from..next to the rule's text.
func (s *spec) write(from int, not bool, how quoting) {
	if not {
		s.text = append(s.text, "!")
	}
	for i, w := range s.words[from:s.next] {
		wordHow := how
		switch {
		case i == 0:
			wordHow = bare
		case how == asWritten && w.quoted:
			wordHow = text
		case how == asWritten:
			wordHow = bare
		}
		s.text = append(s.text, quote(w.text, wordHow))
	}
}
