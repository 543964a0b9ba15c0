package iptables_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// summaries parses rules and returns "line: summary" of each diagnostic.
func summaries(t *testing.T, src string) []string {
	t.Helper()
	_, diags := iptables.ParseRules(strings.NewReader(src), "rules")
	var out []string
	for _, d := range diags {
		if diag.InfoOf(d).Code != diag.CodeDumpSyntax {
			t.Errorf("code of %v is %q", d, diag.InfoOf(d).Code)
		}
		out = append(out, fmt.Sprintf("%d: %s", d.Subject.Start.Line, d.Summary))
	}
	return out
}

// docs/contributing/netfilter.md, "Restore lines", "Quotes" and "Lengths of names and texts".
func TestFilesThatIptablesRestoreRefusesHaveADiagnostic(t *testing.T) {
	long := strings.Repeat("a", 1024)
	for _, test := range []struct{ name, src, want string }{
		{"an empty file is fine", "", ""},
		{"a table with only COMMIT is fine", "*filter\nCOMMIT\n", ""},
		{"comments and empty lines are ignored", "# a\n\n*filter\n# b\n\nCOMMIT\n\n", ""},
		{"spaces around a command are fine", "*filter\n  -F  U \nCOMMIT\n", ""},
		{"a chain without a policy word", "*filter\n:N\nCOMMIT\n", "2: Chain declaration incomplete"},
		{"a chain without counters is fine", "*filter\n:N -\nCOMMIT\n", ""},
		{"a chain name of 29 bytes", "*filter\n:" + long[:29] + " -\nCOMMIT\n", "2: Chain name too long"},
		{"a chain named like a verdict", "*filter\n-N DROP\nCOMMIT\n", "2: Chain name taken"},
		{"-t in a rule", "*filter\n-A U -t nat -j DROP\nCOMMIT\n", "2: Table in a rule"},
		{"-I with number 0", "*filter\n-I U 0 -j DROP\nCOMMIT\n", "2: Bad rule number"},
		{"-D with a number and a rule", "*filter\n-D U 1 -j DROP\nCOMMIT\n", "2: Rule and number"},
		{"-F with a rule", "*filter\n-F U -j DROP\nCOMMIT\n", "2: Unexpected rule"},
		{"two commands", "*filter\n-A U -A V\nCOMMIT\n", "2: Second command"},
		{"no command", "*filter\n-j DROP\nCOMMIT\n", "2: Command missing"},
		{"a line of spaces in a table", "*filter\n   \nCOMMIT\n", "2: Blank line"},
		{"a line of spaces outside a table", "   \n", "1: Line outside a table"},
		{"spaces before a comment", "*filter\n # x\nCOMMIT\n", "2: Stray word"},
		{"a comment after a rule", "*filter\n-A U -j DROP # x\nCOMMIT\n", "2: Stray word"},
		{"CR LF is reported once", "*filter\r\n-F U\r\nCOMMIT\r\n", "1: Carriage return"},
		{"no newline after COMMIT", "*filter\nCOMMIT", "2: Newline missing"},
		{"COMMIT with a space behind it", "*filter\nCOMMIT \n", "2: Stray word; 2: COMMIT missing"},
		{"COMMIT missing at the end", "*filter\n-F U\n", "2: COMMIT missing"},
		{"COMMIT missing before a table", "*filter\n*nat\nCOMMIT\n", "2: COMMIT missing"},
		{"a rule after COMMIT", "*filter\nCOMMIT\n-F U\n", "3: Line outside a table"},
		{"counters", "*filter\n[5:500] -A U -j DROP\n[5:500]-A U -c 1 2\nCOMMIT\n", ""},
		{"counters left open", "*filter\n[5:500 -A U\nCOMMIT\n", "2: Bad counters"},
		{"a line of 10,240 bytes", "*filter\n-A U -m comment --comment " + strings.Repeat("a ", 5120) + "\nCOMMIT\n", "2: Line too long"},
		{"a word of 1,024 bytes", "*filter\n-A U -m comment --comment " + long + "\nCOMMIT\n", "2: Word too long"},
		{"a word of 1,023 bytes", "*filter\n-A U -m comment --comment " + long[1:] + "\nCOMMIT\n", ""},
		{"251 words", "*filter\n-A U" + strings.Repeat(" x", 249) + "\nCOMMIT\n", "2: Too many words"},
		{"a quote left open", "*filter\n-A U -m comment --comment \"abc -j DROP\nCOMMIT\n", "2: Quote not closed"},
		{"single quotes do not quote", "*filter\n-A U -m comment --comment 'a b'\nCOMMIT\n", "2: Stray word"},
		{"a quote inside a word ends it", "*filter\n-A U -m comment --comment a\"b c\"d\nCOMMIT\n", "2: Stray word"},
		{"two targets", "*filter\n-A U -j DROP -j ACCEPT\nCOMMIT\n", "2: Second target"},
		{"! before -j", "*filter\n-A U ! -j DROP\nCOMMIT\n", "2: Stray negation"},
		{"! twice", "*filter\n-A U ! ! -p tcp\nCOMMIT\n", "2: Stray negation"},
		{"an option twice", "*filter\n-A U -p tcp -p udp\nCOMMIT\n", "2: Option given twice"},
		{"an option that no match has", "*filter\n-A U --dport 80 -p tcp\nCOMMIT\n", "2: Unknown option"},
		{"an option without its value", "*filter\n-A U -s\nCOMMIT\n", "2: Value missing"},
		{"an option of a verdict", "*filter\n-A U -j DROP --weird\nCOMMIT\n", "2: Unknown option"},
		{"a NUL byte", "*filter\n-A U\x00 -j DROP\nCOMMIT\n", "2: NUL byte in line"},
		{"every bad line is reported", "*filter\n-A U -s\n-F U\nfoo\nCOMMIT\n", "2: Value missing; 4: Stray word"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(summaries(t, test.src), "; "); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestTheNumberOfDiagnosticsIsLimited(t *testing.T) {
	got := summaries(t, strings.Repeat("package main\n", 1000))
	if len(got) != 51 || got[50] != "1000: More bad lines" {
		t.Errorf("got %d diagnostics, the last %q", len(got), got[len(got)-1])
	}
}

func TestEveryCommandIsReadInShortAndLongSpelling(t *testing.T) {
	for written, want := range map[string]string{
		"--append U -j DROP":                 "-A U -j DROP",
		"--insert U 3 --jump DROP":           "-I U 3 --jump DROP",
		"-I U -j DROP":                       "-I U -j DROP",
		"-AU -ieth0 -mudp -jDROP":            "-A U -i eth0 -m udp -j DROP",
		"--append=U --jump=DROP":             "-A U --jump DROP",
		"-IU 3 ! -s192.0.2.1 -gV":            "-I U 3 ! -s 192.0.2.1 -g V",
		"--delete U 2":                       "-D U 2",
		"--replace U 1 -j DROP":              "-R U 1 -j DROP",
		"--check U":                          "-C U",
		"--new-chain U":                      "-N U",
		"--delete-chain U":                   "-X U",
		"--delete-chain":                     "-X",
		"--flush":                            "-F",
		"--zero U 1":                         "-Z U 1",
		"--policy FORWARD DROP":              "-P FORWARD DROP",
		"--rename-chain U W":                 "-E U W",
		"-s 1.2.3.4 -A U -j DROP":            "-A U -s 1.2.3.4 -j DROP",
		"-A U -c 5 500 -j DROP":              "[5:500] -A U -j DROP",
		":U - [0:0]":                         ":U - [0:0]",
		":FORWARD DROP":                      ":FORWARD DROP",
		"-A U   -m  comment --comment \"x\"": "-A U -m comment --comment x",
	} {
		file, diags := iptables.ParseRules(strings.NewReader("*filter\n"+written+"\nCOMMIT\n"), "rules")
		noDiags(t, diags)
		if c := file.Blocks[0].Commands; len(c) != 1 || c[0].String() != want {
			t.Errorf("%s: got %v, want %s", written, c, want)
		}
	}
}

func TestADiagnosticPointsAtTheWordAndCarriesTheLine(t *testing.T) {
	_, diags := iptables.ParseRules(strings.NewReader("*filter\n-A U -m comment --comment \"ü\" -j DROP oops\nCOMMIT\n"), "f")
	if len(diags) != 1 {
		t.Fatal(diags)
	}
	s := diags[0].Subject
	if s.Filename != "f" || s.Start.Line != 2 || s.Start.Column != 39 || s.End.Column != 43 || s.Start.Byte != 47 {
		t.Errorf("subject %+v", s)
	}
	if got := diag.InfoOf(diags[0]).Line; !strings.HasPrefix(got, "-A U") {
		t.Errorf("line %q", got)
	}
}
