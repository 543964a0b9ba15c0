package iptables_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/parser/diag"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

func members(s *iptables.Set) string {
	if s == nil {
		return "none"
	}
	var out []string
	for e := range s.Entries() {
		text := e.String()
		if e.NoMatch {
			text += "!"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// Each row is what ipset 7.17 did: docs/contributing/netfilter.md, "ipset restore is not a
// transaction", "-exist", "Swap" and "Set entries".
func TestSetCommandsDoWhatIpsetRestoreDoes(t *testing.T) {
	for _, test := range []struct{ name, src, a, want string }{
		{"comments, blanks, CR LF and COMMIT are fine", "# x\n  # y\n \ncreate A hash:ip \r\n add A 1.1.1.1\r\nCOMMIT\n", "1.1.1.1", ""},
		{"quit ends the file", "create A hash:ip\nquit\nadd B 1.1.1.1\n", "", ""},
		{"create of an existing set", "create A hash:ip\ncreate A hash:ip\n", "", "2: Set exists"},
		{"create -exist keeps the entries", "create A hash:ip\nadd A 1.1.1.1\ncreate A hash:ip -exist\n", "1.1.1.1", ""},
		{"-exist with another family or hashsize keeps the old set", "create A hash:ip\ncreate A hash:ip family inet6 hashsize 64 -exist\n", "", ""},
		{"-exist with another type", "create A hash:ip\ncreate A hash:net -exist\n", "", "2: Set exists"},
		{"-exist with another maxelem", "create A hash:ip\ncreate A hash:ip maxelem 5 -exist\n", "", "2: Set exists"},
		{"-exist with the default maxelem written", "create A hash:ip\ncreate A hash:ip maxelem 65536 -exist\n", "", ""},
		{"-exist with another timeout", "create A hash:ip timeout 5\ncreate A hash:ip -exist\n", "", "2: Set exists"},
		{"-exist leaks to later lines", "create A hash:ip -exist\ncreate A hash:ip\nadd A 1.1.1.1\nadd A 1.1.1.1\n", "1.1.1.1", ""},
		{"a run of adds has the flags of its first", "create A hash:ip\nadd A 1.1.1.1\nadd A 1.1.1.1 -exist\n", "1.1.1.1", "3: Duplicate entry"},
		{"a run of adds starts anew for another set", "create A hash:ip\ncreate B hash:ip\nadd A 1.1.1.1\nadd B 1.1.1.1 -exist\nadd A 1.1.1.1\n", "1.1.1.1", ""},
		{"duplicate add", "create A hash:net\nadd A 10.0.0.0/8\nadd A 10.9.9.9/8\nadd A 1.1.1.1\n", "10.0.0.0/8", "3: Duplicate entry"},
		{"a network and one inside it are both kept", "create A hash:net\nadd A 10.0.0.0/8\nadd A 10.1.0.0/16 nomatch\n", "10.0.0.0/8 10.1.0.0/16!", ""},
		{"-exist turns nomatch into match", "create A hash:net\nadd A 10.0.0.0/8 nomatch\nadd B 1.1.1.1 -exist\n", "10.0.0.0/8!", "3: No such set"},
		{"add over nomatch with -exist", "create A hash:net -exist\nadd A 10.0.0.0/8 nomatch\nadd A 10.0.0.0/8\n", "10.0.0.0/8", ""},
		{"add to an absent set", "add A 1.1.1.1\n", "none", "1: No such set"},
		{"destroy of an absent set", "destroy A\n", "none", "1: No such set"},
		{"destroy -exist of an absent set", "destroy A -exist\n", "none", ""},
		{"destroy of a member of a list", "create A hash:ip\ncreate L list:set\nadd L A\ndestroy A\n", "", "4: Set in use"},
		{"destroy of all", "create A hash:ip\ncreate B hash:ip\ndestroy\n", "none", ""},
		{"a list accepts only sets that exist", "create A list:set\nadd A B\n", "", "2: No such set"},
		{"flush of one", "create A hash:ip\nadd A 1.1.1.1\nflush A\n", "", ""},
		{"bare flush empties all", "create A hash:ip\nadd A 1.1.1.1\nflush\n", "", ""},
		{"flush of an absent set", "flush A\n", "none", "1: No such set"},
		{"rename", "create B hash:ip\nadd B 1.1.1.1\nrename B A\nadd A 1.1.1.2\n", "1.1.1.1 1.1.1.2", ""},
		{"rename to an existing name", "create A hash:ip\ncreate B hash:ip\nrename B A\n", "", "3: Set exists"},
		{"swap", "create A hash:ip\ncreate B hash:ip maxelem 5 timeout 0\nadd B 1.1.1.1\nswap A B\n", "1.1.1.1", ""},
		{"swap of another type", "create A hash:ip\ncreate B hash:net\nswap A B\n", "", "3: Sets of different types"},
		{"swap of another family", "create A hash:ip\ncreate B hash:ip family inet6\nswap A B\n", "", "3: Sets of different families"},
		{"swap with an absent set", "create A hash:ip\nswap A B\n", "", "2: No such set"},
		{"del", "create A hash:ip\nadd A 1.1.1.0/30\ndel A 1.1.1.2\n", "1.1.1.0 1.1.1.1 1.1.1.3", ""},
		{"del of an absent entry", "create A hash:ip\ndel A 1.1.1.1\n", "", "2: No such entry"},
		{"del -exist of an absent entry", "create A hash:ip\ndel A 1.1.1.1 -exist\n", "", ""},
		{"test of an absent entry", "create A hash:ip\ntest A 1.1.1.1\n", "", "2: No such entry"},
		{"a hash:ip expands networks and ranges", "create A hash:ip\nadd A 1.1.1.1-1.1.1.3\nadd A 1.1.2.0/31\n", "1.1.1.1 1.1.1.2 1.1.1.3 1.1.2.0 1.1.2.1", ""},
		{"a hash:ip with a netmask", "create A hash:ip netmask 24\nadd A 1.2.3.4\nadd A 1.2.3.5\n", "1.2.3.0", "3: Duplicate entry"},
		{"a hash:ip refuses the zero address", "create A hash:ip\nadd A 0.0.0.0\n", "", "2: Bad entry"},
		{"a hash:ip of inet6 refuses networks", "create A hash:ip family inet6\nadd A ::/64\n", "", "2: Bad entry"},
		{"a hash:net splits ranges", "create A hash:net\nadd A 10.0.0.1-10.0.0.6\n", "10.0.0.1 10.0.0.2/31 10.0.0.4/31 10.0.0.6", ""},
		{"a hash:net of inet6 refuses ranges", "create A hash:net family inet6\nadd A ::1-::5\n", "", "2: Bad entry"},
		{"a hash:net refuses /0", "create A hash:net\nadd A 0.0.0.0/0\n", "", "2: Bad entry"},
		{"a hash:net,iface accepts /0", "create A hash:net,iface\nadd A 0.0.0.0/0,eth0\n", "0.0.0.0/0,eth0", ""},
		{"another family", "create A hash:net\nadd A ::1\n", "", "2: Wrong family"},
		{"maxelem", "create A hash:net maxelem 2\nadd A 1.1.1.1\nadd A 1.1.1.2\nadd A 1.1.1.3\n", "1.1.1.1 1.1.1.2", "4: Set is full"},
		{"a huge network in a hash:ip", "create A hash:ip maxelem 4000000000\nadd A 1.0.0.0/8\n", "", "2: Set is full"},
		{"nomatch in a hash:ip", "create A hash:ip\nadd A 1.1.1.1 nomatch\n", "", "2: Bad option"},
		{"a timeout without the header", "create A hash:ip\nadd A 1.1.1.1 timeout 5\n", "", "2: Bad option"},
		{"entries with names and short forms stay verbatim", "create A hash:net,port\nadd A 10.0.0.0/8,tcp:80\nadd A 10.1,udp:53\nadd A 10.0.0.0/8,tcp:http\n", "10.0.0.0/8,tcp:80 10.1,udp:53 10.0.0.0/8,tcp:http", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, diags := iptables.ParseSets(strings.NewReader(test.src), "sets")
			noDiags(t, diags)
			var sets iptables.Sets
			var got []string
			for _, d := range sets.Load(file) {
				if diag.InfoOf(d).Code != diag.CodeDumpLoad || diag.InfoOf(d).Line == "" {
					t.Errorf("%v carries %+v", d, diag.InfoOf(d))
				}
				got = append(got, fmt.Sprintf("%d: %s", d.Subject.Start.Line, d.Summary))
			}
			if got := strings.Join(got, "; "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got := members(sets.Set("A")); got != test.a {
				t.Errorf("A has %q, want %q", got, test.a)
			}
		})
	}
}

// Each row is what ipset 7.17 stored or refused. The rows of hash:net,net,
// hash:net,port,net, hash:mac, hash:ip,mac and hash:ip,mark follow ipset(8) instead:
// docs/contributing/netfilter.md, "Set entries".
func TestEntriesOfEveryTypeAreReadAsIpsetDoes(t *testing.T) {
	for _, test := range []struct{ create, add, want, refused string }{
		{"hash:ip,port", "10.0.0.0/31,tcp:80-81", "10.0.0.0,tcp:80 10.0.0.0,tcp:81 10.0.0.1,tcp:80 10.0.0.1,tcp:81", ""},
		{"hash:ip,port", "10.0.0.1-10.0.0.3,80", "10.0.0.1,tcp:80 10.0.0.2,tcp:80 10.0.0.3,tcp:80", ""},
		{"hash:ip,port", "10.0.0.1,tcp:91-90", "10.0.0.1,tcp:90 10.0.0.1,tcp:91", ""},
		{"hash:ip,port", "10.0.0.1,6:5", "10.0.0.1,tcp:5", ""},
		{"hash:ip,port", "10.0.0.1,tcp:0x50", "10.0.0.1,tcp:80", ""},
		{"hash:ip,port", "10.0.0.1,200:0", "10.0.0.1,200:0", ""},
		{"hash:ip,port", "10.0.0.1,udplite:80", "10.0.0.1,udplite:80", ""},
		{"hash:ip,port", "10.0.0.1,icmp:8/0", "10.0.0.1,icmp:echo-request", ""},
		{"hash:ip,port", "10.0.0.1,icmp:ping", "10.0.0.1,icmp:echo-request", ""},
		{"hash:ip,port", "10.0.0.1,icmp:77/3", "10.0.0.1,icmp:77/3", ""},
		{"hash:ip,port", "10.0.0.1,icmp:8", "", "Bad entry"},
		{"hash:ip,port", "10.0.0.1,ipv6-icmp:0/0", "", "Wrong family"},
		{"hash:ip,port", "10.0.0.1,gre:5", "", "Bad entry"},
		{"hash:ip,port", "10.0.0.1,tcpudp:80", "", "Bad entry"},
		{"hash:ip,port", "10.0.0.1,tcp:70000", "", "Bad entry"},
		{"hash:ip,port", "10.0.0.1", "", "Bad entry"},
		{"hash:ip,port", "10.0.0.1,tcp:80,10.0.0.2", "", "Bad entry"},
		{"hash:ip,port", "0.0.0.0,tcp:80", "", "Bad entry"},
		{"hash:ip,port", "::1,tcp:80", "", "Wrong family"},
		{"hash:ip,port", "10.0.0.1,tcp:80 nomatch", "", "Bad option"},
		{"hash:ip,port", "10.0.0.0/8,tcp:1-9", "", "Set is full"},
		{"hash:ip,port netmask 24", "10.0.0.5,tcp:80", "10.0.0.0,tcp:80", ""},
		{"hash:ip,port netmask 24", "0.0.0.5,tcp:80", "", "Bad entry"},
		{"hash:ip,port netmask 24", "10.0.1.0/24,udp:5", "", "Bad entry"},
		{"hash:ip,port family inet6", "2001:DB8::5,tcp:80-81", "2001:db8::5,tcp:80 2001:db8::5,tcp:81", ""},
		{"hash:ip,port family inet6", "::1,icmpv6:128/0", "::1,ipv6-icmp:echo-request", ""},
		{"hash:ip,port family inet6", "::1,icmp:8/0", "", "Wrong family"},
		{"hash:ip,port family inet6", "2001:db8::/120,tcp:80", "", "Bad entry"},
		{"hash:ip bitmask 255.0.255.0", "10.1.2.3", "10.0.2.0", ""},
		{"hash:ip family inet6 bitmask ffff::ff", "2001:db8::5", "2001::5", ""},
		{"hash:ip family inet6 netmask 64", "2001:db8::5", "2001:db8::", ""},
		{"hash:ip", "10.0.0.1,tcp:80", "", "Bad entry"},
		{"hash:net", "10.0.0.1/8,tcp:80", "", "Bad entry"},
		{"hash:ip,port,ip", "10.0.0.0/31,tcp:80,192.0.2.1", "10.0.0.0,tcp:80,192.0.2.1 10.0.0.1,tcp:80,192.0.2.1", ""},
		{"hash:ip,port,ip", "10.0.0.0/31,tcp:80,192.0.2.0/30", "", "Bad entry"},
		{"hash:ip,port,net", "10.0.0.1,tcp:80,192.0.2.0-192.0.2.6", "10.0.0.1,tcp:80,192.0.2.0/30 10.0.0.1,tcp:80,192.0.2.4/31 10.0.0.1,tcp:80,192.0.2.6", ""},
		{"hash:ip,port,net", "10.0.0.1,tcp:80,0.0.0.0/0", "", "Bad entry"},
		{"hash:net,port", "10.0.0.5/24,tcp:80", "10.0.0.0/24,tcp:80", ""},
		{"hash:net,port", "10.0.0.1-10.0.0.3,tcp:80", "10.0.0.1,tcp:80 10.0.0.2/31,tcp:80", ""},
		{"hash:net,port", "10.0.0.1/32,tcp:80 nomatch", "10.0.0.1,tcp:80!", ""},
		{"hash:net,iface", "10.0.0.0-10.0.0.2,eth0", "10.0.0.0/31,eth0 10.0.0.2,eth0", ""},
		{"hash:net,iface", "10.0.0.5/24,physdev:eth0", "10.0.0.0/24,physdev:eth0", ""},
		{"hash:net,iface", "10.0.0.5/24,eth0123456789012345", "", "Bad entry"},
		{"hash:net", "10.0.0.0/8 wildcard", "", "Bad option"},
		{"hash:net,net", "10.0.0.5/24,10.1.0.1", "10.0.0.0/24,10.1.0.1", ""},
		{"hash:net,port,net", "10.0.0.5/24,53,10.1.0.1/32", "10.0.0.0/24,tcp:53,10.1.0.1", ""},
		{"hash:ip,mark", "10.0.0.1,0x10", "10.0.0.1,0x00000010", ""},
		{"hash:ip,mark markmask 0xff", "10.0.0.1,0x110", "10.0.0.1,0x00000010", ""},
		{"hash:mac", "2:ab:0:0:0:a", "02:AB:00:00:00:0A", ""},
		{"hash:mac", "2:ab:0:0:0", "", "Bad entry"},
		{"hash:ip,mac", "10.0.0.1,02:ab:00:00:00:0a", "10.0.0.1,02:AB:00:00:00:0A", ""},
		{"bitmap:ip range 10.0.0.0/24", "10.0.0.250-10.0.0.251", "10.0.0.250 10.0.0.251", ""},
		{"bitmap:ip range 10.0.0.0/24", "10.0.0.250-10.0.1.5", "", "Bad entry"},
		{"bitmap:ip range 10.0.0.0/24 netmask 28", "10.0.0.32/27", "10.0.0.32 10.0.0.48", ""},
		{"bitmap:ip range 10.0.0.3-10.0.0.77 netmask 28", "10.0.0.79", "10.0.0.64", ""},
		{"bitmap:ip,mac range 10.0.0.0/24", "10.0.0.1", "10.0.0.1", ""},
		{"bitmap:ip,mac range 10.0.0.0/24", "10.0.0.0/31,02:ab:00:00:00:0a", "", "Bad entry"},
		{"bitmap:port range 90-80", "tcp:83-84", "83 84", ""},
		{"bitmap:port range 80-90", "88-92", "", "Bad entry"},
	} {
		file, diags := iptables.ParseSets(strings.NewReader("create A "+test.create+"\nadd A "+test.add+"\n"), "sets")
		noDiags(t, diags)
		var sets iptables.Sets
		refused := ""
		for _, d := range sets.Load(file) {
			refused = d.Summary
		}
		if got := members(sets.Set("A")); got != test.want || refused != test.refused {
			t.Errorf("%s: %s: got %q, refused %q, want %q, refused %q", test.create, test.add, got, refused, test.want, test.refused)
		}
		for e := range sets.Set("A").Entries() {
			if _, ok := sets.Set("A").Element(e); !ok {
				t.Errorf("%s: %s is not split", test.create, e)
			}
		}
	}
	for src, want := range map[string]string{
		"create A bitmap:port":                                                   "Bad range",
		"create A bitmap:ip range 10.0.0.0":                                      "",
		"create A bitmap:ip range 10.0.0.0/15":                                   "Bad range",
		"create A bitmap:ip range 10.0.0.0/8 netmask 24":                         "",
		"create A hash:ip maxelem 9999999\nadd A 10.0.0.0/13\nadd A 11.0.0.0/12": "Set is full",
		"create A bitmap:ip range ::/120":                                        "Bad range",
		"create A hash:ip netmask 33":                                            "Bad netmask",
		"create A hash:ip netmask 0":                                             "Bad netmask",
		"create A hash:ip bitmask 0.0.0.0":                                       "Bad bitmask",
		"create A hash:ip netmask 24 bitmask 255.255.0.0":                        "Bad option",
		"create A hash:net netmask 24":                                           "Bad option",
		"create A hash:ip markmask 1":                                            "Bad option",
		"create B list:set\ncreate A list:set\nadd A B":                          "Bad entry",
		"create A bitmap:ip,mac range 10.0.0.0/24\nadd A 10.0.0.1,2:0:0:0:0:1\nadd A 10.0.0.1,2:0:0:0:0:2": "Duplicate entry",
		"create A hash:net,iface\nadd A 10.0.0.0/24,e wildcard\nadd A 10.0.0.5/24,e":                       "Duplicate entry",
		"create A hash:ip,port\nadd A 1.1.1.1,icmp:8/0\nadd A 1.1.1.1,icmp:ping":                           "Duplicate entry",
	} {
		file, diags := iptables.ParseSets(strings.NewReader(src+"\n"), "sets")
		noDiags(t, diags)
		var sets iptables.Sets
		got := ""
		for _, d := range sets.Load(file) {
			got = d.Summary
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", src, got, want)
		}
	}
}

func TestSetLinesThatIpsetCannotParseHaveADiagnostic(t *testing.T) {
	for src, want := range map[string]string{
		"frobnicate A":                         "Unknown command",
		"create A":                             "Argument missing",
		"create A hash:ip foo":                 "Unknown option",
		"create A hash:ip maxelem 1 maxelem 2": "Option given twice",
		"create A hash:ip maxelem":             "Value missing",
		"add A":                                "Argument missing",
		"add A 1.1.1.1 # text":                 "Unknown option",
		"add A 1.1.1.1 comment \"a\\\"b\"":     "Quote not closed",
		"add A 1.1.1.1 comment \"\"":           "Value missing",
		"destroy A B":                          "Stray word",
		"swap A":                               "Argument missing",
		"add " + strings.Repeat("a", 32) + " 1.1.1.1": "Bad set name",
		"# " + strings.Repeat("a", 1022):              "Line too long",
		"add A 1.1.1.1\x00":                           "NUL byte in line",
		"-exist":                                      "Command missing",
	} {
		_, diags := iptables.ParseSets(strings.NewReader("create B hash:ip\n"+src+"\n"), "sets")
		if len(diags) != 1 || diags[0].Summary != want || diags[0].Subject.Start.Line != 2 || diag.InfoOf(diags[0]).Code != diag.CodeDumpSyntax {
			t.Errorf("%s: got %v, want %s", src, diags, want)
		}
	}
}

func TestEntryOptionsAndQuotedCommentsAreKept(t *testing.T) {
	src := "add A 1.1.1.0/24 timeout 5 comment \"a  b's\" nomatch\nadd A 1.1.1.1 comment x\"y z\"w -exist\n"
	file, diags := iptables.ParseSets(strings.NewReader(src), "sets")
	noDiags(t, diags)
	e := file.Commands[0].Entries
	if len(e) != 2 || !e[0].NoMatch || e[0].Options[1].Value != "a  b's" || e[1].Options[0].Value != "xy zw" || !e[1].Exist || e[1].Line != 2 {
		t.Errorf("got %+v", e)
	}
}

func TestADuplicateIsReportedAtItsLine(t *testing.T) {
	file, _ := iptables.ParseSets(strings.NewReader("create A hash:net\nadd A 1.1.1.1\nadd A 1.1.1.2\nadd A 1.1.1.1/32\n"), "sets")
	var sets iptables.Sets
	diags := sets.Load(file)
	if len(diags) != 1 || diags[0].Subject.Start.Line != 4 || diag.InfoOf(diags[0]).Line != "add A 1.1.1.1" {
		t.Errorf("got %v", diags)
	}
}

func million() []byte {
	var b bytes.Buffer
	b.WriteString("create A hash:net family inet maxelem 2000000\n")
	for i := range 1_000_000 {
		fmt.Fprintf(&b, "add A %d.%d.%d.0/24\n", 11+i>>16, i>>8&255, i&255)
	}
	return b.Bytes()
}

// The bound is generous, so that a busy machine does not fail it; about a second
// is what BenchmarkAMillionAdds shows.
func TestAMillionAddsAreReadInSeconds(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a million lines")
	}
	src := million()
	start := time.Now()
	file, diags := iptables.ParseSets(bytes.NewReader(src), "sets")
	noDiags(t, diags)
	var sets iptables.Sets
	noDiags(t, sets.Load(file))
	if n := sets.Set("A").Len(); n != 1_000_000 {
		t.Errorf("%d entries", n)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %s", d)
	}
}

func BenchmarkAMillionAdds(b *testing.B) {
	src := million()
	b.ReportAllocs()
	for b.Loop() {
		file, _ := iptables.ParseSets(bytes.NewReader(src), "sets")
		var sets iptables.Sets
		sets.Load(file)
	}
}
