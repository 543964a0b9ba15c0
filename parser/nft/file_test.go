package nft

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/dockerfw/dockerfw/parser/diag"
)

const compiled = `# Compiled by dockerfw from policy.hcl; do not edit.
table inet dockerfw
flush table inet dockerfw
table inet dockerfw {
	set office.3f9a61c2 {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.10-192.0.2.20, 198.51.100.2,
			     203.0.113.0/24 }
	}

	set office-v6.81d20b7e {
		type ipv6_addr
		flags interval
		elements = { 2001:db8:5::2,
			     2001:db8:77::/48 }
	}

	set banned {
		type ipv4_addr
		flags interval,timeout
	}

	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		iifname "eth0" jump dockerfw-in comment "dockerfw forward"
	}

	chain dockerfw-in {
		ct state established,related accept comment "dockerfw established"
		ip saddr @banned drop
		ip saddr != @office.3f9a61c2 drop comment "dockerfw default"
		ip6 saddr != @office-v6.81d20b7e drop comment "dockerfw default"
	}
}
`

const removal = "table inet dockerfw\ndelete table inet dockerfw\n"

func mustParseFile(t *testing.T, text string) *File {
	t.Helper()
	file, diags := ParseFile([]byte(text), "file")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return file
}

func mustLoad(t *testing.T, r *Ruleset, text string) {
	t.Helper()
	if diags := r.Load(mustParseFile(t, text)); diags.HasErrors() {
		t.Fatal(diags)
	}
}

func TestACompiledFileLoadsTwiceAndIsRemoved(t *testing.T) {
	host := &Ruleset{}
	mustLoad(t, host, "table inet other {\n\tchain c {\n\t}\n}\n")
	mustLoad(t, host, compiled)
	table := host.Table("inet", "dockerfw")
	if c := table.Chain("forward"); c.Hook != "forward" || c.Priority != -10 || c.Policy != "accept" || c.Type != "filter" {
		t.Errorf("chain %+v", c)
	}
	office := table.Sets["office.3f9a61c2"]
	if got := fmt.Sprint(office.Addresses.V4); got != "[192.0.2.10-192.0.2.20 198.51.100.2 203.0.113.0-203.0.113.255]" || office.Changes {
		t.Errorf("office %s %+v", got, office)
	}
	if got := fmt.Sprint(table.Sets["office-v6.81d20b7e"].Addresses.V6); got != "[2001:db8:5::2 2001:db8:77::-2001:db8:77:ffff:ffff:ffff:ffff:ffff]" {
		t.Errorf("IPv6: %s", got)
	}
	if !table.Sets["banned"].Changes {
		t.Error("elements of banned can expire")
	}
	if got := table.Chain("dockerfw-in").Rules[1].Range.String(); got != "file:31,3-24" {
		t.Errorf("the second rule is at %s", got)
	}
	if got := office.Range.String(); got != "file:5,2-21" {
		t.Errorf("the first set is at %s", got)
	}

	// An element that another program has added stays.
	mustLoad(t, host, "add element inet dockerfw banned { 192.0.2.99 timeout 1h, 192.0.2.128/25 }\n")
	before := *host.Table("inet", "dockerfw")
	mustLoad(t, host, compiled)
	if diff := cmp.Diff(&before, host.Table("inet", "dockerfw"), sameAST); diff != "" {
		t.Errorf("loading again changes the table:\n%s", diff)
	}
	banned := host.Table("inet", "dockerfw").Sets["banned"]
	if len(banned.Elem) != 1 || len(banned.Addresses.V4) != 1 {
		t.Errorf("banned %+v", banned)
	}

	mustLoad(t, host, removal)
	mustLoad(t, host, removal)
	if len(host.Tables) != 1 || host.Tables[0].Name != "other" {
		t.Errorf("after the removal: %v", host.Tables)
	}
}

func TestLoadRefusesWhatNFTRefuses(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"delete table inet x\n", "file:1,1-20: There is no table inet x."},
		{"flush table inet x\n", "file:1,1-19: There is no table inet x."},
		{"table inet dockerfw {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n\t}\n}\n", "file:2,2-15: Chain forward exists with another type, hook or priority."},
		{"table inet dockerfw {\n\tset banned {\n\t\ttype ipv4_addr\n\t}\n}\n", "file:2,2-12: Set banned exists with another type or other flags."},
		{"table inet dockerfw {\n\tchain a {\n\t\tjump b\n\t}\n}\n", "file:3,3-9: Table inet dockerfw has no chain b."},
		{"table inet dockerfw {\n\tchain a {\n\t\ttcp dport vmap { 80 : jump b }\n\t}\n}\n", "file:3,3-33: Table inet dockerfw has no chain b."},
		{"table inet dockerfw {\n\tchain a {\n\t\tip saddr @b drop\n\t}\n}\n", "file:3,3-19: Table inet dockerfw has no set b."},
		{"table inet dockerfw {\n\tchain a {\n\t\tadd @b { ip saddr } drop\n\t}\n}\n", "file:3,3-27: Table inet dockerfw has no set b."},
		{"add element inet dockerfw office.3f9a61c2 { 203.0.113.9 }\n", "file:1,1-42: Two elements of set office.3f9a61c2 overlap. One of them is 203.0.113.9."},
		{"delete set inet dockerfw banned\n", "file:30,3-24: Table inet dockerfw has no set banned."},
		{"delete chain inet dockerfw x\n", "file:1,1-29: Table inet dockerfw has no chain x."},
	} {
		host := &Ruleset{}
		mustLoad(t, host, strings.Replace(compiled, "# Compiled by dockerfw from policy.hcl; do not edit.\n", "", 1))
		before := host.Tables[0]
		diags := host.Load(mustParseFile(t, c.text))
		if len(diags) != 1 || diags[0].Subject.String()+": "+diags[0].Detail != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.text, diags, c.want)
		}
		if len(host.Tables) != 1 || host.Tables[0] != before {
			t.Errorf("%s changes the host", c.text)
		}
	}
}

func TestWhatIsNotUnderstoodIsAnErrorWithItsPlace(t *testing.T) {
	rule := func(text string) string { return "table inet t {\n\tchain c {\n\t\t" + text + "\n\t\taccept\n\t}\n}\n" }
	for text, want := range map[string]string{
		rule("frobnicate"):                                        `file:3,3-13: "frobnicate" is not known as the beginning of a condition or statement.`,
		rule("tcp dport ssh accept"):                              `file:3,13-16: Instead of a port or range of ports here is ssh.`,
		rule("tcp dport { 22, ssh } accept"):                      `file:3,19-22: Instead of a port or range of ports here is ssh.`,
		rule("ip saddr localhost accept"):                         `file:3,12-21: Instead of an IPv4 address, network or range here is localhost.`,
		rule("ip saddr 2001:db8::1 accept"):                       `file:3,12-23: Instead of an IPv4 address, network or range here is 2001:db8::1.`,
		rule("ip saddr 010.0.0.1 accept"):                         `file:3,12-21: "010.0.0.1" is not understood as a number or an address. Numbers have no leading zeros.`,
		rule("tcp dport 010 accept"):                              `file:3,13-16: "010" is not understood as a number or an address. Numbers have no leading zeros.`,
		rule("ip saddr { 192.0.2.1 accept }"):                     `file:3,24-30: Here is "accept" instead of "}".`,
		rule("limit rate 0/second"):                               `file:3,14-22: Here is "0/second" instead of a rate such as 10/minute.`,
		rule("accept comment x"):                                  `file:3,18-19: Here is "x" instead of the comment in quotes.`,
		rule("accept \"x"):                                        "file:3,10-11: Here is \"\\\"\" instead of a statement.",
		rule("jump 1x"):                                           `file:3,8-10: Here is "1x" instead of a name.`,
		rule("iifname \"é\" oifname 010 accept"):                  `file:3,23-26: "010" is not understood as a number or an address. Numbers have no leading zeros.`,
		"table inet t {\n\tchain c {\n":                           "file:3,1-1: Here is the end of the file instead of \"}\".",
		"table inet t {\n\tfoo bar {\n\t}\n}\n":                   "file:2,2-5: Of a table its chains, sets and maps are understood.",
		"table inet t {\n\tchains a\n}\n":                         "file:2,2-8: Of a table its chains, sets and maps are understood.",
		"create table inet t\n":                                   "file:1,1-7: The commands that are understood are table, and add, flush, delete and destroy for table, chain and set, and add element.",
		"}\n":                                                     "file:1,1-2: Here is \"}\" instead of a command.",
		"table inet t {\n\tset s {\n\t\tflags interval\n\t}\n}\n": "file:2,6-7: The set has no type.",
		"table inet t {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { ::1 }\n\t}\n}\n":                   "file:4,16-19: Instead of an element of type ipv4_addr here is ::1.",
		"table inet t {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1 192.0.2.2 }\n\t}\n}\n":   "file:4,26-35: Here is \"192.0.2.2\" instead of \"}\".",
		"table inet t {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1,, 192.0.2.2 }\n\t}\n}\n": "file:4,26-27: Here is \",\" instead of a value.",
	} {
		_, diags := ParseFile([]byte(text), "file")
		if len(diags) != 1 || diags[0].Subject.String()+": "+diags[0].Detail != want {
			t.Errorf("%s\ngot  %v\nwant %s", text, diags, want)
		}
	}
}

func TestAllProblemsOfAFileAreReportedAtOnce(t *testing.T) {
	text := "table inet t {\n\tchain c {\n" + strings.Repeat("\t\twrong { a\n\t\t\tb } x\n\t\taccept\n", 60) + "\t}\n\tset s {\n\t\twrong\n\t}\n}\n"
	file, diags := ParseFile([]byte(text), "file")
	if len(diags) != maxProblems+1 || !strings.Contains(diags[maxProblems].Detail, "11 more problems") {
		t.Errorf("%d diagnostics, the last %v", len(diags), diags[len(diags)-1])
	}
	if got := len(file.Commands[0].Block.Chain("c").Rules); got != 60 {
		t.Errorf("%d rules are read", got)
	}
	for _, d := range diags {
		if diag.InfoOf(d).Code != diag.CodeDumpSyntax || d.Severity != hcl.DiagError {
			t.Error(d)
		}
	}
}

// What the versions of nft print differently means the same.
func TestVersionsOfNFTPrintTheSameRule(t *testing.T) {
	for _, same := range [][]string{
		{`limit rate 10/minute log prefix "x"`, `limit rate 10/minute burst 5 packets log prefix "x"`},
		{`reject`, `reject with icmpx port-unreachable`, `reject with icmpx type port-unreachable`},
		{`meta mark 64 accept`, `meta mark 0x40 accept`, `meta mark 0x00000040 accept`},
		{"ip saddr { 192.0.2.1,\n\t\t\t     192.0.2.2 } drop", `ip saddr { 192.0.2.1, 192.0.2.2 } drop`},
		{"accept # handle 5", "accept"},
	} {
		var first *Ruleset
		for _, text := range same {
			r, diags := ParseText([]byte("table inet t {\n\tchain c {\n\t\t"+text+"\n\t}\n}\n"), "file")
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if first == nil {
				first = r
			}
			if diff := cmp.Diff(first, r, sameAST); diff != "" {
				t.Errorf("%s is not %s:\n%s", text, same[0], diff)
			}
		}
	}
	r, _ := ParseText([]byte("table inet t {\n\tchain c {\n\t\tdrop # handle 7\n\t}\n}\n"), "file")
	if got := r.Tables[0].Chains[0].Rules[0].Handle; got != 7 {
		t.Errorf("handle %d", got)
	}
}

// largeSet returns a table with a set of n networks, and their addresses with single addresses
// and ranges between them.
func largeSet(n int, v6 bool) []byte {
	var b strings.Builder
	typ := "ipv4_addr"
	if v6 {
		typ = "ipv6_addr"
	}
	fmt.Fprintf(&b, "table inet t {\n\tset s {\n\t\ttype %s\n\t\tflags interval\n\t\telements = { ", typ)
	for i := range n {
		if i > 0 {
			b.WriteString(",")
			b.WriteString([]string{" ", "\n\t\t\t     "}[i%2])
		}
		switch {
		case v6:
			fmt.Fprintf(&b, "2001:db8:%x:%x::/64", i>>16, i&0xffff)
		case i%3 == 0:
			fmt.Fprintf(&b, "%d.%d.%d.2-%d.%d.%d.5", 1+i>>16, i>>8&255, i&255, 1+i>>16, i>>8&255, i&255)
		default:
			fmt.Fprintf(&b, "%d.%d.%d.0/24", 1+i>>16, i>>8&255, i&255)
		}
	}
	b.WriteString(" }\n\t}\n}\n")
	return []byte(b.String())
}

func BenchmarkParseLargeSet(b *testing.B) {
	for _, v6 := range []bool{false, true} {
		text := largeSet(1_000_000, v6)
		b.Run(map[bool]string{false: "IPv4", true: "IPv6"}[v6], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, diags := ParseText(text, "x"); diags.HasErrors() {
					b.Fatal(diags)
				}
			}
		})
	}
}

func TestALargeSetIsReadWithoutAValueForEachElement(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		const n = 20_000
		text := largeSet(n, v6)
		r, diags := ParseText(text, "x")
		if diags.HasErrors() || r.Tables[0].Sets["s"].Addresses.Len() != n {
			t.Fatal(diags, r.Tables[0].Sets["s"].Addresses.Len())
		}
		if got := testing.AllocsPerRun(3, func() { _, _ = ParseText(text, "x") }); got > n/100 {
			t.Errorf("%v allocations for %d elements", got, n)
		}
	}
}

func FuzzParseText(f *testing.F) {
	f.Add([]byte(compiled))
	f.Add([]byte(removal))
	// Each rule of the listing is a seed: a large one makes the fuzzer slow.
	text, err := os.ReadFile("testdata/forms-1.0.6.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rule, ok := strings.CutPrefix(line, "\t\t"); ok && !strings.Contains(rule, "elements") {
			f.Add([]byte("table inet t {\n\tchain c {\n\t\t" + rule + "\t}\n}\n"))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, diags := ParseText(text, "x")
		for _, d := range diags {
			if d.Subject == nil || d.Subject.Start.Line < 1 || d.Subject.Start.Column < 1 || d.Subject.Start.Byte > len(text) || d.Subject.End.Byte < d.Subject.Start.Byte {
				t.Errorf("%v has no place", d)
			}
		}
		if diags.HasErrors() && len(r.Tables) > 0 {
			t.Error("tables beside errors")
		}
		for _, table := range r.Tables {
			for _, c := range table.Chains {
				for _, rule := range c.Rules {
					_ = rule.Text()
				}
			}
		}
	})
}
