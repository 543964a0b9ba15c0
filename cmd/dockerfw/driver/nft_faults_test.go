package driver

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/hashicorp/hcl/v2"
)

var (
	hostBlock = regexp.MustCompile(`(?m)^host .*\{\n`)
	// withoutCounterpart are attributes that a host with target nftables does not take.
	withoutCounterpart = regexp.MustCompile(`(?m)^\s*(chain|install|verdict|hashsize|timeout|counters|comment) *=.*\n`)
)

// forNFTables returns a policy with target nftables.
func forNFTables(policy string) string {
	return withoutCounterpart.ReplaceAllString(hostBlock.ReplaceAllString(policy, "$0  target = \"nftables\"\n"), "")
}

// proveFile proves a host with another content of one of its files.
func proveFile(h Host, name string, content []byte) hcl.Diagnostics {
	h.Files = slices.Clone(h.Files)
	for i := range h.Files {
		if h.Files[i].Name == name {
			h.Files[i].Content = content
		}
	}
	return newProofCache(nil, 1, nil).compareNFT(h)
}

func fileOf(t *testing.T, h Host, name string) []byte {
	t.Helper()
	for _, f := range h.Files {
		if f.Name == name {
			return f.Content
		}
	}
	t.Fatalf("there is no file %s", name)
	return nil
}

// nftFaults are faults in a printed table, as regular expressions and their replacements.
var nftFaults = []struct{ name, old, new string }{
	{"a rule of a later phase first", `(?m)^(\t\tct state .*dockerfw established"\n)(?s:(.*?))(^.*dockerfw default"\n)`, "$3$2$1"},
	{"deny after accept", `(?m)^(.*dockerfw deny flood"\n)(?s:(.*?))(^.*dockerfw accept dns"\n)`, "$2$3$1"},
	{"a deny lost", `(?m)^.* drop comment "dockerfw deny flood"\n`, ""},
	{"an accept lost", `(?m)^.*dockerfw accept dns"\n`, ""},
	{"a default lost", `(?m)^.*dockerfw default"\n`, ""},
	{"a foreign rule", `(?m)^(\tchain dockerfw-in \{\n)`, "$1\t\taccept\n"},
	{"a foreign rule with a comment", `(?m)^(\tchain dockerfw-in \{\n)`, "$1\t\taccept comment \"dockerfw established\"\n"},
	{"negation lost", `!= @`, "@"},
	{"negation added", `ip saddr @f2b`, "ip saddr != @f2b"},
	{"the wrong set", `saddr @f2b `, "saddr @vpn.DIGEST "},
	{"the wrong end", `ip saddr @f2b`, "ip daddr @f2b"},
	{"the wrong family", `ip6 saddr @f2b-v6`, "ip saddr @f2b"},
	{"the wrong interface", `"eth1"`, `"eth2"`},
	{"interface lost", `iifname (\S+|\{.*?\}) oifname`, "oifname"},
	{"out interface lost", `(?m)oifname "br-\*" (jump dockerfw-in)`, "$1"},
	{"the wrong protocol", `meta l4proto udp ct original`, "meta l4proto tcp ct original"},
	{"another published port", `proto-dst 53`, "proto-dst 54"},
	{"a published range without its end", `proto-dst 8000-8010`, "proto-dst 8000"},
	{"the wrong direction", `ct direction original`, "ct direction reply"},
	{"the direction of replies", `ct direction reply`, "ct direction original"},
	{"the DNAT status lost", `ct status dnat `, ""},
	{"an additional state", `ct state related`, "ct state related,new"},
	{"restriction to replies lost", `ct state established ct direction reply`, "ct state established"},
	{"source ports lost", `(tcp|udp|th) sport 1024-65535 `, ""},
	{"another port", `dport 53`, "dport 5353"},
	{"another ICMP type", `type echo-request`, "type echo-reply"},
	{"a rate limit up to instead of above", `limit rate over`, "limit rate"},
	{"another rate", `limit rate over 90/minute`, "limit rate over 90/second"},
	{"another burst", `limit rate over 90/minute burst 5`, "limit rate over 90/minute burst 6"},
	{"another number of connections", `ct count 20`, "ct count 21"},
	{"limit lost", `add @\S+ \{ ip saddr ct count 20 \} (accept)`, "$1"},
	{"a limit above instead of up to", `ct count 20`, "ct count over 20"},
	{"accept instead of reject", `reject with icmpx admin-prohibited`, "accept"},
	{"drop instead of accept", ` accept comment`, " drop comment"},
	{"return instead of accept", `(?m) accept (comment "dockerfw accept dns")`, " return $1"},
	{"the wrong answer", `reject with icmpx admin-prohibited`, "reject"},
	{"the reset lost", `(?m)^.*reject with tcp reset.*\n`, ""},
	{"the egress jump lost", `(?m)^.*jump dockerfw-egress.*\n`, ""},
	{"a protected port off by one", `(?m)^(\t\tiifname .*tcp dport .*)443`, "${1}444"},
	{"the jump to INPUT protection lost", `(?m)^.*jump dockerfw-proxy.*\n`, ""},
	{"INPUT protection accepts instead of returning", ` return comment`, " accept comment"},
	{"the base chain of another hook", `hook forward priority`, "hook input priority"},
	{"a chain that is no base chain", `(?m)^.*type filter hook forward.*\n`, ""},
	{"a policy that drops", `policy accept`, "policy drop"},
	{"another priority", `priority filter - 10`, "priority filter + 10"},
	{"an address in another range", `203\.0\.113\.0/24`, "203.0.113.0/25"},
	{"a member of the list lost", `198\.51\.100\.0/24`, "198.51.100.0/25"},
	{"an element lost", `(?m)^\t\telements = \{ 192\.0\.2\.10.* \}\n`, ""},
	{"an additional element", `(elements = \{ )192\.0\.2\.10`, "${1}192.0.2.10, 203.0.113.99"},
	{"another set type", `(?m)^(\t\tflags interval\n)`, "\t\tsize 10\n\t\tflags dynamic\n"},
	{"an unmanaged set with known elements", `(?m)^(\tset f2b \{\n\t\ttype ipv4_addr\n)\t\tflags interval,timeout\n`, "$1\t\tflags interval\n"},
	{"an unmanaged set with elements", `(?m)^(\tset f2b \{\n\t\ttype ipv4_addr\n\t\tflags interval,timeout\n)`, "$1\t\telements = { 192.0.2.0/24 }\n"},
	{"an unmanaged set of the other family", `(?m)^(\tset f2b-v6 \{\n\t\ttype )ipv6_addr`, "${1}ipv4_addr"},
	{"a set lost", `(?m)^\tset f2b \{\n(?s:.*?)\n\t\}\n`, ""},
	{"the flush lost", `(?m)^flush table inet dockerfw\n`, ""},
	{"the table deleted instead of flushed", `(?m)^flush table`, "delete chain"},
	{"another table", `table inet dockerfw`, "table inet other"},
	{"the table of one family", `table inet dockerfw`, "table ip dockerfw"},
	{"a second table", `\z`, "table inet second {\n}\n"},
	{"a rule without its comment", ` comment "dockerfw accept dns"`, ""},
	{"cut off", `(?s)\tchain dockerfw-proxy.*`, ""},
	{"a host name", `192\.0\.2\.66`, "localhost"},
	{"an address with a leading zero", `192\.0\.2\.66`, "192.0.02.66"},
}

func TestFaultsInAPrintedTableAreRefused(t *testing.T) {
	result := compileText(t, forNFTables(everything))
	host := result.Hosts[0]
	good := fileOf(t, host, folder.NFTFile)
	if diags := proveFile(host, folder.NFTFile, good); diags.HasErrors() {
		t.Fatal(diags)
	}
	digest := regexp.MustCompile(`vpn\.([0-9a-f]{8})`).FindSubmatch(good)
	for _, fault := range nftFaults {
		replacement := fault.new
		if digest != nil {
			replacement = strings.ReplaceAll(replacement, "DIGEST", string(digest[1]))
		}
		broken := regexp.MustCompile(fault.old).ReplaceAll(good, []byte(replacement))
		if bytes.Equal(broken, good) {
			t.Errorf("%s: the fault changes nothing; fix the test", fault.name)
			continue
		}
		if !refused(proveFile(host, folder.NFTFile, broken)) {
			t.Errorf("%s: accepted:\n%s", fault.name, broken)
		}
	}
	if t.Failed() {
		t.Logf("the table:\n%s", good)
	}
}

func TestAnIncompleteRemovalOfATableIsRefused(t *testing.T) {
	result := compileText(t, forNFTables(everything))
	host := result.Hosts[0]
	good := string(fileOf(t, host, folder.NFTRemoval))
	for _, broken := range []string{
		"", strings.Replace(good, "delete table", "flush table", 1), strings.Replace(good, "\ntable inet dockerfw\n", "\n", 1),
		strings.ReplaceAll(good, "inet dockerfw", "inet other"), good + "table inet dockerfw\n", good + "flush ruleset now\n",
	} {
		if broken == good || !refused(proveFile(host, folder.NFTRemoval, []byte(broken))) {
			t.Errorf("accepted: %q", broken)
		}
	}
}

func TestTheProofOfATableIsKeptForEqualTextsOnly(t *testing.T) {
	hosts := compileText(t, `
host "a" {
  target              = "nftables"
  external_interfaces = ["eth0"]
}
host "b" {
  target              = "nftables"
  external_interfaces = ["eth0"]
}
host "c" {
  target              = "nftables"
  external_interfaces = ["eth1"]
}
`).Hosts
	if len(hosts) != 3 || hosts[0].key != hosts[1].key || hosts[0].key == hosts[2].key {
		t.Errorf("%d hosts; those with equal text must have one key, others another one", len(hosts))
	}
	a := hosts[0]
	a.Files = slices.Clone(a.Files)
	for i := range a.Files {
		if a.Files[i].Name == folder.NFTRemoval {
			a.Files[i].Content = append(slices.Clone(a.Files[i].Content), "flush table inet dockerfw\n"...)
		}
	}
	if keyOf(a) == hosts[0].key {
		t.Error("another removal has the same key")
	}
}
