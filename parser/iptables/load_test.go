package iptables_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// host has a chain U with two rules.
const host = `*filter
:FORWARD DROP [0:0]
:U - [0:0]
:V - [0:0]
-A FORWARD -j V
-A U -s 10.0.0.1/32 -j DROP
-A U -s 10.0.0.2/32 -j DROP
COMMIT
`

func load(t *testing.T, rs *iptables.Ruleset, src string) string {
	t.Helper()
	file, diags := iptables.ParseRules(strings.NewReader(src), "rules")
	for _, d := range diags {
		t.Errorf("unexpected: %v", d)
	}
	var out []string
	for _, d := range rs.Load(file) {
		if diag.InfoOf(d).Code != diag.CodeDumpLoad || diag.InfoOf(d).Line == "" {
			t.Errorf("%v carries %+v", d, diag.InfoOf(d))
		}
		out = append(out, fmt.Sprintf("%d: %s", d.Subject.Start.Line, d.Summary))
	}
	return strings.Join(out, "; ")
}

// sources lists the -s of a chain's rules.
func sources(c *iptables.Chain) string {
	if c == nil {
		return "none"
	}
	var out []string
	for _, r := range c.Rules {
		s := r.Jump
		if o := r.Option("-s"); o != nil {
			s = strings.TrimSuffix(strings.TrimPrefix(o.Value(), "10.0.0."), "/32")
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestCommandsDoWhatIptablesRestoreDoes(t *testing.T) {
	for _, test := range []struct{ name, src, u, want string }{
		{":U flushes, then fills", ":U - [0:0]\n-A U -s 10.0.0.9", "9", ""},
		{":NEW creates", ":NEW -\n-A NEW -j U", "1 2", ""},
		{":U twice is fine", ":U -\n-A U -s 10.0.0.9\n:U -", "", ""},
		{"a policy on a user chain", ":U DROP [0:0]", "1 2", "2: Policy of a user chain"},
		{"a policy keeps the rules", ":FORWARD ACCEPT [0:0]\n:INPUT -", "1 2", ""},
		{"a policy that is none", "-P FORWARD QUEUE", "1 2", "2: Bad policy"},
		{"without a :U line rules are appended", "-A U -s 10.0.0.9", "1 2 9", ""},
		{"-A to an absent chain", "-A NOPE", "1 2", "2: No such chain"},
		{"-F of an absent chain", "-F NOPE", "1 2", "2: No such chain"},
		{"-X of an absent chain", "-X NOPE", "1 2", "2: No such chain"},
		{"-F flushes one", "-F U", "", ""},
		{"-F without a name flushes all", "-F", "", ""},
		{"-N of an existing chain", "-N U", "1 2", "2: Chain exists"},
		{"-X of a chain with rules", "-X U", "1 2", "2: Chain not empty"},
		{"-X of a chain in use", "-X V", "1 2", "2: Chain in use"},
		{"-X without a name refuses chains with rules", "-X", "1 2", "2: Chain not empty"},
		{"-X without a name deletes all", "-F\n-X", "none", ""},
		{"-X of a built-in chain", "-X INPUT", "1 2", "2: Built-in chain"},
		{"unnumbered -I reverses", "-I U -s 10.0.0.7\n-I U -s 10.0.0.8\n-I U -s 10.0.0.9", "9 8 7 1 2", ""},
		{"numbered -I keeps the order", "-I U 1 -s 10.0.0.7\n-I U 2 -s 10.0.0.8\n-I U 3 -s 10.0.0.9", "7 8 9 1 2", ""},
		{"-I one behind the last appends", "-I U 3 -s 10.0.0.9", "1 2 9", ""},
		{"-I two behind the last", "-I U 4 -s 10.0.0.9", "1 2", "2: Rule number too big"},
		{"-D finds another spelling", "-D U -s 10.0.0.1 --jump DROP", "2", ""},
		{"-D of an absent rule undoes the block", "-A U -s 10.0.0.9\n-D U -s 10.0.0.3 -j DROP", "1 2", "3: No such rule"},
		{"-D with a comment the rule has not", "-D U -s 10.0.0.1 -m comment --comment x -j DROP", "1 2", "2: No such rule"},
		{"-D by number", "-D U 1", "2", ""},
		{"-D by a number too big", "-D U 3", "1 2", "2: Rule number too big"},
		{"-C sees rules of the same file", "-A U -s 10.0.0.9 -j DROP\n-C U -s 10.0.0.9/32 -j DROP", "1 2 9", ""},
		{"-C of an absent rule", "-C U -s 10.0.0.9", "1 2", "2: No such rule"},
		{"-R replaces", "-R U 2 -s 10.0.0.9", "1 9", ""},
		{"-R too big", "-R U 3 -s 10.0.0.9", "1 2", "2: Rule number too big"},
		{"-E renames, references follow", "-E V W\n-D FORWARD -j W\n-X W", "1 2", ""},
		{"-E to an existing name", "-E V U", "1 2", "2: Chain exists"},
		{"-Z and -P work", "-Z U\n-Z\n-P FORWARD ACCEPT", "1 2", ""},
		{"a jump to a missing chain", "-A U -j UNDEFINED", "1 2", "2: No such target"},
		{"a goto to a target", "-A U -g LOG", "1 2", "2: No such target"},
		{"a target with options is taken for an extension", "-A U -j VENDOR --x 1", "1 2 VENDOR", ""},
		{"a loop that no built-in chain reaches", "-A U -j U", "1 2 U", ""},
		{"a loop that FORWARD reaches", "-A V -j U\n-A U -j V", "1 2", "4: Jump loop"},
		{"lists of addresses, source outer", "-A V -j RETURN\n:U -\n-A U -s 10.0.0.3,10.0.0.4 -d 1.1.1.1,2.2.2.2", "3 3 4 4", ""},
		{"lists of addresses inserted", "-I U -s 10.0.0.3,10.0.0.4", "4 3 1 2", ""},
		{"an inverted list of addresses", "-A U ! -s 10.0.0.3,10.0.0.4", "1 2", "2: Inverted list of addresses"},
		{"a line for the other family is skipped", "-A U -6 -s 10.0.0.9\n-A U -4 -s 10.0.0.8", "1 2 8", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			rs := iptables.NewRuleset(iptables.IPv4)
			if got := load(t, rs, host); got != "" {
				t.Fatal(got)
			}
			if got := load(t, rs, "*filter\n"+test.src+"\nCOMMIT\n"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got := sources(rs.Table("filter").Chain("U")); got != test.u {
				t.Errorf("U has %q, want %q", got, test.u)
			}
		})
	}
}

func TestABlockIsAllOrNothingAndLaterBlocksAreNotApplied(t *testing.T) {
	rs := iptables.NewRuleset(iptables.IPv4)
	got := load(t, rs, "*nat\n:N -\nCOMMIT\n*filter\n:U -\n-A U -j DROP\n-A NOPE\nCOMMIT\n*mangle\n:M -\nCOMMIT\n")
	if got != "7: No such chain" {
		t.Error(got)
	}
	if rs.Table("nat").Chain("N") == nil || rs.Table("filter").Chain("U") != nil || rs.Table("mangle") != nil {
		t.Errorf("tables %+v", rs.Tables)
	}
}

func TestUnknownTablesAreRefused(t *testing.T) {
	if got := load(t, iptables.NewRuleset(iptables.IPv4), "*bogus\nCOMMIT\n"); got != "1: Unknown table" {
		t.Error(got)
	}
}

func TestABlockWithBadLinesIsNotApplied(t *testing.T) {
	for src, want := range map[string]string{
		"*filter\n:U -\nfoo\nCOMMIT\n": "Table with bad lines",
		"*filter\n:U -\n":              "Table with bad lines",
	} {
		file, _ := iptables.ParseRules(strings.NewReader(src), "rules")
		rs := iptables.NewRuleset(iptables.IPv4)
		if diags := rs.Load(file); len(diags) != 1 || diags[0].Summary != want || len(rs.Tables) != 0 {
			t.Errorf("%q: %v", src, diags)
		}
	}
}

func TestAFailedBlockLeavesTheRulesetAsItWas(t *testing.T) {
	rs := iptables.NewRuleset(iptables.IPv4)
	load(t, rs, host)
	before := print(t, rs)
	load(t, rs, "*filter\n:U -\n-E V W\n-P FORWARD ACCEPT\n-I FORWARD -j W\n-A NOPE\nCOMMIT\n")
	if diff := cmp.Diff(before, print(t, rs)); diff != "" {
		t.Error(diff)
	}
}

func TestInstallThenRemoveLeavesNothing(t *testing.T) {
	rs := iptables.NewRuleset(iptables.IPv4)
	noDiags(t, rs.Load(parseFile(t, "testdata/docker-engine.save")))
	before := print(t, rs)
	noDiags(t, rs.Load(parseFile(t, "testdata/dockerfw.restore")))
	if got := rs.Table("filter").Chain("DOCKER-USER").Rules[0].Text; got != "-j DFW" {
		t.Errorf("the first rule is %q", got)
	}
	noDiags(t, rs.Load(parseFile(t, "testdata/dockerfw.remove")))
	if diff := cmp.Diff(before, print(t, rs)); diff != "" {
		t.Error(diff)
	}
}

func print(t *testing.T, rs *iptables.Ruleset) string {
	t.Helper()
	var b bytes.Buffer
	if err := rs.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
