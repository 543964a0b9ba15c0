package iptables

import (
	"slices"
	"strconv"
	"strings"
)

// spec parses the words of one command. As iptables does, it reads options in the order
// written, and knows the options of a match or target only after its -m or -j.
type spec struct {
	p     *ruleParser
	line  line
	words []word
	next  int // index of the next word
	cmd   *Command
	rule  *Rule
	text  []string
	// loaded are the matches and targets so far. An option belongs to the last one that
	// has it.
	loaded []extension
}

// extension is a match or target that options can belong to.
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
		if !s.parseOption() {
			return false
		}
	}
	first := s.words[0]
	if s.cmd.Op == "" {
		return s.fail(first, "Command missing", "The line has no command, such as -A CHAIN.")
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
			return s.fail(first, "Rule and number", "-D needs either a rule or a number.")
		}
	default:
		if hasRule {
			return s.fail(first, "Unexpected rule", "%s is not followed by a rule.", s.cmd.Op)
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

// parseOption reads one option with its values, or a command with its operands.
func (s *spec) parseOption() bool {
	start := s.next
	w, _ := s.take()
	not := false
	if w.text == "!" {
		not = true
		var ok bool
		if w, ok = s.take(); !ok || w.text == "!" {
			return s.fail(s.words[start], "Stray negation", "Write a single ! directly before the option that it negates.")
		}
	}
	if name, value, ok := joined(w.text); ok {
		s.detach(w, name, value)
		w.text = name
	}
	name, attached, hasAttached := cutAttached(w.text)
	if !strings.HasPrefix(name, "-") || name == "-" || name == "--" {
		return s.fail(w, "Stray word", "%q is neither an option nor the value of one.", w.text)
	}
	if op, ok := commandWords[name]; ok {
		if not {
			return s.fail(w, "Stray negation", "A command cannot be negated.")
		}
		if hasAttached {
			s.detach(w, name, attached)
		}
		return s.command(w, op)
	}
	if o := lookup(baseOptions, name); o != nil {
		if hasAttached {
			s.detach(w, name, attached)
		}
		return s.baseOption(w, o, not)
	}
	return s.extensionOption(w, not)
}

func cutAttached(s string) (name, value string, found bool) {
	if !strings.HasPrefix(s, "--") {
		return s, "", false
	}
	return strings.Cut(s, "=")
}

// joined splits a short option or command and its value, `-ptcp`. The tool reads that since 1.8.11:
// docs/contributing/netfilter.md, "Options and their values in one word".
func joined(s string) (name, value string, found bool) {
	if len(s) < 3 || s[0] != '-' || strings.IndexByte("sdiopjgmtAIDRCNXFZPE", s[1]) < 0 {
		return "", "", false
	}
	return s[:2], s[2:], true
}

// detach splits the word just read, `--dport=80`, into two: `--dport 80`.
func (s *spec) detach(w word, name, value string) {
	v := word{text: value, quoted: w.quoted, from: w.from, to: w.to}
	w.text = name
	s.words = slices.Concat(s.words[:s.next-1], []word{w, v}, s.words[s.next:])
}

// command reads the operands of a command: a chain, and a number, policy or name.
func (s *spec) command(w word, op Op) bool {
	if s.cmd.Op != "" {
		return s.fail(w, "Second command", "A line has one command, and this line already has %s.", s.cmd.Op)
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
			return s.fail(n, "Bad rule number", "%q is not the number of a rule. The first rule has the number 1.", n.text)
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

func (s *spec) baseOption(w word, o *option, not bool) bool {
	from := s.next - 1
	if not && !o.inverts {
		return s.fail(w, "Stray negation", "%s cannot be negated.", o.name)
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
			return s.fail(w, "Bad counters", "-c needs two numbers, packets and bytes.")
		}
		return true
	}
	s.write(from, not, bare)
	switch o.name {
	case "-t":
		return s.fail(w, "Table in a rule", "Delete the -t option: the *NAME line above names the table.")
	case "-m":
		s.load(Match{Name: opt.Values[0], Range: opt.Range})
		return true
	case "-j", "-g":
		if s.rule.Jump != "" {
			return s.fail(w, "Second target", "A rule can have one -j or -g.")
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
		return s.fail(w, "Option given twice", "A rule can have one %s.", o.name)
	}
	s.rule.Base = append(s.rule.Base, opt)
	return true
}

func (s *spec) load(m Match) {
	s.rule.Matches = append(s.rule.Matches, m)
	s.loaded = append(s.loaded, extension{len(s.rule.Matches) - 1, matchModules[m.Name]})
}

// extensionOption reads an option of a match or target.
func (s *spec) extensionOption(w word, not bool) bool {
	from := s.next - 1
	name, attached, hasAttached := cutAttached(w.text)
	owner, o := s.owner(name)
	if o == nil && !s.unknownLoaded() {
		if b := abbreviated(baseOptions, name); b != nil {
			if hasAttached {
				s.detach(w, name, attached)
			}
			return s.baseOption(w, b, not)
		}
	}
	if owner == nil {
		return s.fail(w, "Unknown option", "No match or target before it has the option %s.", name)
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

// owner returns the match or target that an option belongs to: the last one that has it,
// in full or abbreviated; otherwise the match that the protocol implies; otherwise the
// last one, for which the option is opaque.
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
		if o == nil && long && implied != "" && !s.unknownLoaded() {
			o = abbreviated(matchModules[implied].options, name)
		}
		if o != nil {
			s.load(Match{Name: implied, Implied: true, Range: p.Range})
			return &s.loaded[len(s.loaded)-1], o
		}
	}
	for i := len(s.loaded) - 1; i >= 0; i-- {
		if e := &s.loaded[i]; e.match >= 0 || !isVerdict(s.rule.Jump) {
			return e, nil
		}
	}
	return nil, nil
}

// isVerdict reports whether a target is one of the kernel's own, which have no options.
func isVerdict(target string) bool {
	return slices.Contains([]string{"ACCEPT", "DROP", "RETURN", "QUEUE"}, target)
}

// unknownLoaded reports whether an unknown match or target precedes, which may have any
// option.
func (s *spec) unknownLoaded() bool {
	return slices.ContainsFunc(s.loaded, func(e extension) bool { return e.module == nil })
}

// values reads the values of a known option. They may look like options, which iptables
// accepts too. A ! before them is the old form of negation, except for values that are
// free text.
func (s *spec) values(w word, o *option, not bool) (Option, bool) {
	opt := Option{Name: o.name, Not: not, Range: s.line.span(w.from, w.to)}
	left := len(s.words) - s.next
	if o.args > 0 && o.quoting == bare && !not && left > o.args && s.words[s.next].text == "!" && !s.words[s.next].quoted {
		opt.Not = true
		s.next++
		left--
		if !o.inverts {
			return opt, s.fail(w, "Stray negation", "%s cannot be negated.", o.name)
		}
	}
	if left < o.args {
		return opt, s.fail(w, "Value missing", "%s needs %s.", o.name, countOf(o.args, "value"))
	}
	for range o.args {
		v, _ := s.take()
		opt.Values = append(opt.Values, v.text)
		opt.Range.End = s.line.span(v.to, v.to).End
	}
	return opt, true
}

// opaque reads an option that this package does not know, up to the next word that looks
// like an option.
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

// write adds the words from..next to the text of the rule.
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
