package plan

import (
	"regexp"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
)

// ClosedTable is [Closed] for target nftables. The interfaces and ports are those of want; nil if it
// cannot be read.
func ClosedTable(want *Table) *Table {
	forward := base("forward")
	external := want.external()
	// A rule for each interface: a list with a wildcard is a set with intervals, which has no elements for the first
	// packets (docs/contributing/netfilter.md, "Sets and rules in one transaction").
	for _, name := range external {
		forward.Lines = append(forward.Lines, "iifname "+name+" drop "+closedNFT)
	}
	if len(external) == 0 {
		forward.Lines = append(forward.Lines, `iifname "br-*" accept `+closedNFT, `iifname "docker*" accept `+closedNFT, "drop "+closedNFT)
	}
	out := &Table{Objects: []*Object{forward}}
	old := want.Object("chain", "input")
	if old == nil {
		return out
	}
	input := base("input")
	out.Objects = append(out.Objects, input)
	host := want.closedHost()
	for _, rule := range old.rules() {
		switch verdict, to := verdictOf(rule); {
		case to == "dockerfw-proxy":
			input.Lines = append(input.Lines, withVerdict(rule, "drop")+" "+closedNFT)
		case to == "dockerfw-host" && host != nil, verdict == "return", verdict == "accept":
			input.Lines = append(input.Lines, rule)
		}
	}
	if host != nil {
		out.Objects = append(out.Objects, host)
	}
	return out
}

const closedNFT = `comment "dockerfw closed"`

// base is a base chain of the closed table, with the packets of open connections accepted.
func base(hook string) *Object {
	return &Object{Kind: "chain", Name: hook, Lines: []string{
		"type filter hook " + hook + " priority filter - 10; policy accept;",
		"ct state established,related accept " + closedNFT,
	}}
}

// closedHost is the chain for the input block, without sets and limits; see [closedHost]. It is nil if the
// table has none.
func (t *Table) closedHost() *Object {
	old := t.Object("chain", "dockerfw-host")
	if old == nil {
		return nil
	}
	out := &Object{Kind: "chain", Name: old.Name, Lines: []string{"ct state established,related accept " + closedNFT}}
	spared := false
	for _, rule := range old.rules() {
		rule, counted := t.withoutCount(rule)
		least := withoutNeedless(rule)
		whole := least == rule && !counted
		byDefault := strings.HasSuffix(rule, `comment "`+(ir.RuleID{Phase: ir.PhaseDefault}).Comment()+`"`)
		switch verdict, _ := verdictOf(rule); verdict {
		case "accept", "return":
		case "drop", "reject":
			if !whole && !byDefault {
				continue
			}
			if !whole && !spared {
				spared = true
				out.Lines = append(out.Lines, "tcp dport 22 accept "+closedNFT)
			}
		default: // log
			continue
		}
		out.Lines = append(out.Lines, least)
	}
	return out
}

// withoutCount is a rule that leads to the chain with the limits of a block, with the verdict of that
// chain: the limits count for several rules. counted reports whether a limit decides about the verdict,
// not only about what is logged.
func (t *Table) withoutCount(rule string) (out string, counted bool) {
	_, to := verdictOf(rule)
	inner := t.Object("chain", to)
	if inner == nil {
		return rule, false
	}
	verdict := ""
	for _, r := range inner.rules() {
		switch v, _ := verdictOf(r); v {
		case "accept", "return", "drop", "reject":
			if v == "reject" {
				v = "drop"
			}
			verdict, counted = v, withoutNeedless(r) != r
		}
	}
	if verdict == "" {
		return rule, false
	}
	return withVerdict(rule, verdict) + strings.TrimPrefix(rule, conditions(rule)), counted
}

// verdictOf is the verdict of a rule, and the chain that it jumps to.
func verdictOf(rule string) (verdict, to string) {
	words := strings.Fields(conditions(rule))
	for i, w := range words {
		switch w {
		case "jump", "goto":
			if i+1 < len(words) {
				return w, words[i+1]
			}
		case "accept", "drop", "return":
			if i == len(words)-1 {
				return w, ""
			}
		case "reject":
			return w, ""
		}
	}
	return "", ""
}

// withVerdict is a rule that jumps to a chain, with another verdict and without its comment.
func withVerdict(rule, verdict string) string {
	text := conditions(rule)
	for _, jump := range []string{" jump ", " goto "} {
		if before, _, ok := strings.Cut(" "+text, jump); ok {
			return strings.TrimSpace(before + " " + verdict)
		}
	}
	return text
}

// needlessNFT are the conditions and statements that closedHost does without; see needless.
var needlessNFT = []*regexp.Regexp{
	regexp.MustCompile(`\b(ip|ip6) [sd]addr (!= )?@\S+ `),
	regexp.MustCompile(`\bct (original|reply) (ip|ip6) [sd]addr (!= )?@\S+ `),
	regexp.MustCompile(`\b(add|update) @\S+ \{[^}]*\} `),
	regexp.MustCompile(`\blimit rate (over )?\S+( burst \d+ \S+)? `),
	regexp.MustCompile(`\bct count (over )?\d+ `),
	regexp.MustCompile(`\blog( prefix "[^"]*")?( (level|group|snaplen|queue-threshold|flags) \S+)* `),
}

func withoutNeedless(rule string) string {
	text := conditions(rule)
	comment := strings.TrimPrefix(rule, text)
	text += " "
	for _, r := range needlessNFT {
		text = r.ReplaceAllString(text, "")
	}
	return strings.TrimSuffix(text, " ") + comment
}

var iifname = regexp.MustCompile(`\biifname (\{ [^}]* \}|"[^"]*")`)

// external are the quoted names of the interfaces on which the rules for established connections, or
// the rules that lead to them, match forwarded packets: see [Version.external].
func (t *Table) external() []string {
	var out []string
	for _, c := range t.Chains() {
		if c.Name != "forward" && c.Name != "dockerfw-in" {
			continue
		}
		for _, rule := range c.rules() {
			if _, to := verdictOf(rule); to == "dockerfw-egress" {
				continue
			}
			if m := iifname.FindStringSubmatch(conditions(rule)); m != nil {
				for name := range strings.SplitSeq(strings.Trim(m[1], "{} "), ", ") {
					if !slices.Contains(out, name) {
						out = append(out, name)
					}
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// IsClosed reports whether a table is one of [ClosedTable].
func IsClosed(t *Table) bool {
	return slices.ContainsFunc(t.Chains(), func(c *Object) bool {
		return slices.ContainsFunc(c.rules(), func(rule string) bool { return strings.HasSuffix(rule, " "+closedNFT) })
	})
}
