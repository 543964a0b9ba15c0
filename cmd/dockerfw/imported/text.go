package imported

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/escape"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// writer writes a policy.
type writer struct {
	bytes.Buffer
	policy *policy
	names  []string
	// files: long sets are written into files, lists.
	files bool
	lists map[string][]byte
}

func (w *writer) line(format escape.Literal, args ...any) {
	escape.Fprintf(w, format+"\n", args...)
}

// text returns the policy, in the canonical style, and the files of its sets.
func (p *policy) text(source string, files bool) (text []byte, lists map[string][]byte, err error) {
	body := &writer{policy: p, files: files}
	body.direction(&p.in)
	if p.egress {
		body.line("# What containers may connect to.")
		body.line("egress {")
		body.direction(&p.out)
		body.Truncate(len(bytes.TrimRight(body.Bytes(), "\n")))
		body.line("\n}\n")
	}
	for _, l := range p.left {
		body.comment(l.rule, l.why)
	}
	w := &writer{policy: p, files: files, lists: map[string][]byte{}}
	w.line("# Imported by dockerfw from %s.", source)
	w.line("# Rules of a policy are always evaluated in the order established, deny, accept, default.\n")
	w.host()
	w.sets()
	w.Write(body.Bytes())
	out, diags := parser.Format(w.Bytes(), "policy.hcl")
	if diags.HasErrors() {
		return nil, nil, fmt.Errorf("internal error: the policy cannot be formatted: %w", diags)
	}
	return append(bytes.TrimRight(out, "\n"), '\n'), w.lists, nil
}

func (w *writer) host() {
	p := w.policy
	w.line("host {")
	w.line("  external_interfaces = [%s]", escape.Safe(strings.Join(quoted(p.external), ", ")))
	if len(p.families) == 1 {
		w.line("  families = [%q]", strings.ToLower(words.Family(p.families[0])))
	}
	if p.returns {
		w.line("  verdict = \"return\"")
	}
	w.line("}\n")
	var attributes []string
	if p.in.recheck {
		attributes = append(attributes, "  sessions = \"recheck\"")
	}
	if p.in.dropInvalid {
		attributes = append(attributes, "  drop_invalid = true")
	}
	if len(attributes) > 0 {
		w.line("established {\n%s\n}\n", escape.Safe(strings.Join(attributes, "\n")))
	}
}

func (w *writer) sets() {
	for _, u := range w.policy.sets.used {
		attributes, list, content := w.policy.sets.attributes(u, w.files)
		switch {
		case u.members == nil:
			w.line("# Set %s: its entries are not in the input, or expire. Whoever fills it goes on.", u.onHost)
		case w.policy.sets.leftOver(u):
			w.line("# Set %s stays on the host when this policy is loaded. Once no other rules use it, ipset destroy removes it.", u.onHost)
		case u.onHost != u.name:
			w.line("# Set %s.", u.onHost)
		}
		w.line("ipset %q {", u.name)
		for _, a := range attributes {
			w.line("  %s", escape.Safe(a))
		}
		w.line("}\n")
		if list != "" {
			w.lists[list] = content
		}
	}
}

func quoted(items []string) []string {
	var out []string
	for _, i := range items {
		// Without this a name such as a${b} would be a template.
		out = append(out, strings.NewReplacer("${", "$${", "%{", "%%{").Replace(fmt.Sprintf("%q", i)))
	}
	return out
}

// comment writes a rule that the policy does not have.
func (w *writer) comment(r *iptables.Rule, why string) {
	w.line("# NOT IMPORTED: %s. The rule is (%s):", why, place(r))
	w.line("#   %s\n", ruleText(r))
}

func place(r *iptables.Rule) string {
	return fmt.Sprintf("%s:%d", filepath.ToSlash(r.Range.Filename), r.Range.Start.Line)
}

// from writes the rules that a block was made of.
func (w *writer) from(rules []*iptables.Rule) {
	const shown = 6
	for i, r := range rules {
		if i == shown && len(rules) > shown+1 {
			w.line("# … and %d more", len(rules)-shown)
			return
		}
		w.line("# %s: %s", place(r), ruleText(r))
	}
}

func (w *writer) direction(d *direction) {
	for _, b := range d.blocks {
		w.block(b)
	}
	w.rest(d)
}

func (w *writer) block(b *block) {
	if b.why != "" {
		for _, r := range b.rules[:len(b.rules)-1] {
			w.line("# By %s (%s):", ruleText(r), place(r))
		}
		w.comment(b.rules[len(b.rules)-1], b.why)
		return
	}
	w.from(b.rules)
	kind := "accept"
	if b.deny {
		kind = "deny"
	}
	w.line("%s %q {", escape.Safe(kind), w.name(b))
	for _, a := range w.attributes(b) {
		w.line("  %s", escape.Safe(a))
	}
	if b.limit != nil {
		w.limit(b.limit, b.family)
	}
	w.log(b.log)
	w.line("}\n")
}

func (w *writer) log(r *iptables.Rule) {
	if r == nil {
		return
	}
	w.line("  # %s: %s", place(r), ruleText(r))
	w.line("  log {")
	for _, a := range logAttributes(r) {
		w.line("    %s", escape.Safe(a))
	}
	w.line("  }")
}

func (w *writer) limit(l *limit, family ir.Family) {
	if l.max != "" {
		w.line("  connections {\n    max = %s", l.max)
		if l.prefix != "" && family != ir.IPv6 {
			w.line("    per_prefix_v4 = %s", l.prefix)
		}
		if l.prefix != "" && family != ir.IPv4 {
			w.line("    per_prefix_v6 = %s", l.prefix)
		}
		w.line("  }")
		return
	}
	w.line("  rate {\n    limit = %q", l.rate)
	if l.burst != "" {
		w.line("    burst = %s", l.burst)
	}
	if l.per != "source" {
		w.line("    per = %q", l.per)
	}
	w.line("  }")
}

// attributes are those of a block that are no blocks themselves.
func (w *writer) attributes(b *block) []string {
	l := &b.literals
	var out []string
	list := func(name string, items []string) {
		if len(items) > 0 {
			out = append(out, name+" = ["+strings.Join(items, ", ")+"]")
		}
	}
	var protocols []string
	for _, n := range l.protocols {
		if name := words.Protocol(n); slices.Contains([]string{"tcp", "udp", "sctp", "icmp", "icmpv6"}, name) {
			protocols = append(protocols, fmt.Sprintf("%q", name))
		} else {
			protocols = append(protocols, fmt.Sprint(n))
		}
	}
	if len(protocols) == 1 {
		out = append(out, "protocol = "+protocols[0])
	} else {
		list("protocol", protocols)
	}
	list("published_ports", portList(l.origins))
	if l.original != nil {
		var one []string
		for _, p := range l.original.Prefixes(0) {
			one = append(one, fmt.Sprintf("%q", prefixText(p)))
		}
		list("published_address", one)
	}
	list("container_ports", portList(l.dports))
	list("source_ports", portList(l.sports))
	var types []string
	for _, t := range l.icmp {
		text := fmt.Sprint(t.FirstType)
		if t.FirstCode == t.LastCode {
			text = fmt.Sprintf("\"%d/%d\"", t.FirstType, t.FirstCode)
		}
		types = append(types, text)
	}
	list("icmp_types", types)
	for _, end := range []struct {
		name string
		all  []addresses
	}{{"source", l.src}, {"destination", l.dst}} {
		var is, not []addresses
		for _, a := range end.all {
			if a.not {
				not = append(not, a)
			} else {
				is = append(is, a)
			}
		}
		list(end.name, w.policy.sets.list(is))
		list(end.name+"_not", w.policy.sets.list(not))
	}
	list("interfaces", quoted(b.interfaces))
	list("out_interfaces", quoted(b.outInterfaces))
	if b.reject {
		out = append(out, "action = \"reject\"")
	}
	return out
}

func portList(ranges []ir.PortRange) []string {
	var out []string
	for _, r := range ranges {
		first := max(r.First, 1) // the language has no port 0
		if r.Last == 0 {
			continue
		}
		if first == r.Last {
			out = append(out, fmt.Sprint(first))
		} else {
			out = append(out, fmt.Sprintf("\"%d-%d\"", first, r.Last))
		}
	}
	return out
}

func (w *writer) rest(d *direction) {
	switch d.rest.action {
	case packet.Docker:
		if d != &w.policy.in {
			return // egress is open without a default
		}
		w.line("# The rules refuse nothing else.")
		w.line("default {\n  action = \"return\"\n}\n")
		return
	}
	w.from(d.rest.rules)
	w.line("default {")
	if allow := w.policy.sets.list(d.rest.allow); len(allow) > 0 {
		w.line("  allow = [%s]", escape.Safe(strings.Join(allow, ", ")))
	}
	if d.rest.action == packet.Reject {
		w.line("  action = \"reject\"")
	} else {
		w.line("  action = \"drop\"")
	}
	w.log(d.rest.log)
	w.line("}\n")
}

// name is the name of a block: the comment of its rule, or its ports and addresses.
func (w *writer) name(b *block) string {
	name := plain(b.rules[len(b.rules)-1].Comment())
	if name == "" {
		var parts []string
		for _, n := range b.literals.protocols[:min(len(b.literals.protocols), 2)] {
			parts = append(parts, words.Protocol(n))
		}
		for _, r := range slices.Concat(b.literals.origins, b.literals.dports)[:min(len(b.literals.origins)+len(b.literals.dports), 3)] {
			text := fmt.Sprint(r.First)
			if r.Last != r.First {
				text += fmt.Sprintf("-%d", r.Last)
			}
			parts = append(parts, text)
		}
		if len(parts) == 0 {
			for _, a := range slices.Concat(b.literals.src, b.literals.dst) {
				if a.not {
					continue
				}
				for _, s := range a.sets {
					if s.Name != "" {
						parts = append(parts, s.Name)
					} else if p := s.Prefixes(1); len(p) > 0 {
						parts = append(parts, prefixText(p[0]))
					}
				}
				parts = append(parts, a.unknown...)
			}
			if n := len(parts); n > 2 { // a name of addresses is long, and ends within one
				parts = []string{parts[0], fmt.Sprintf("and-%d-more", n-1)}
			}
			parts = append(parts, b.interfaces...)
		}
		name = plain(strings.Join(parts[:min(len(parts), 5)], "-"))
	}
	name = cmp.Or(name, "rule")
	if slices.Contains(w.policy.out.blocks, b) {
		name = "out-" + name
	}
	out := name
	for n := 2; slices.Contains(w.names, out); n++ {
		out = fmt.Sprintf("%s-%d", name, n)
	}
	w.names = append(w.names, out)
	return out
}

// plain is text with only those characters that names of rules have.
func plain(text string) string {
	out := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, text)
	for strings.Contains(out, "--") { // of ": " and " & "
		out = strings.ReplaceAll(out, "--", "-")
	}
	const longestRule = 60
	return strings.Trim(out[:min(len(out), longestRule)], "-_.")
}
