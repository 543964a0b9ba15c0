package parser

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"go4.org/netipx"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// parse reads a policy of one file. Without a host block it gets one.
func parse(t testing.TB, text string) (*Policy, hcl.Diagnostics) {
	t.Helper()
	if !strings.Contains(text, "host") {
		text = "host {\n  external_interfaces = [\"eth0\"]\n}\n" + text
	}
	source, diags := Load(written(t, text), Inputs{}, false)
	if diags.HasErrors() {
		return nil, diags
	}
	defer source.Close()
	policy, more := source.Evaluate(source.Hosts()[0], time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return policy, append(diags, more...)
}

// written is the name of the file of a policy.
func written(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// show writes a value of the AST without places and zero values:
// {Name:"web" Protocols:[{Number:6 Name:"tcp"}]}.
func show(v any) string {
	text, _ := showValue(reflect.ValueOf(v))
	return text
}

func showValue(v reflect.Value) (text string, zero bool) {
	if v.IsValid() && v.CanInterface() {
		switch x := v.Interface().(type) {
		case netipx.IPRange:
			if p, ok := x.Prefix(); ok {
				if p.IsSingleIP() {
					return p.Addr().String(), false
				}
				return p.String(), false
			}
			return x.String(), !x.IsValid()
		case time.Time:
			return x.Format(time.RFC3339), x.IsZero()
		case Ports:
			return x.String(), x == Ports{}
		case ICMPCode:
			return fmt.Sprintf("%d/%d", x.Type, x.Code), false
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return "nil", true
		}
		text, _ := showValue(v.Elem())
		return text, false // a pointer to zero is not zero
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			text, _ := showValue(v.Index(i))
			parts = append(parts, text)
		}
		return "[" + strings.Join(parts, " ") + "]", v.IsNil()
	case reflect.Struct:
		if strings.HasPrefix(v.Type().Name(), "At[") {
			return showValue(v.FieldByName("Value"))
		}
		var parts []string
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if field.Type == reflect.TypeFor[hcl.Range]() {
				continue
			}
			if text, zero := showValue(v.Field(i)); !zero {
				parts = append(parts, field.Name+":"+text)
			}
		}
		return "{" + strings.Join(parts, " ") + "}", len(parts) == 0
	case reflect.String:
		return fmt.Sprintf("%q", v.String()), v.IsZero()
	default:
		return fmt.Sprint(v.Interface()), v.IsZero()
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct{ attributes, want string }{
		{``, `{ExternalInterfaces:["eth0"] IPv4:true IPv6:true Target:"iptables" Chain:"DOCKER-USER" Install:"replace" Verdict:"accept"}`},
		{`container_interfaces = ["docker0", "br-+"]`, `{ExternalInterfaces:["eth0"] ContainerInterfaces:["docker0" "br-+"] IPv4:true IPv6:true Target:"iptables" Chain:"DOCKER-USER" Install:"replace" Verdict:"accept"}`},
		{`families = ["ipv6"]`, `{ExternalInterfaces:["eth0"] IPv6:true Target:"iptables" Chain:"DOCKER-USER" Install:"replace" Verdict:"accept"}`},
		{`chain = "DOCKER"`, `{ExternalInterfaces:["eth0"] IPv4:true IPv6:true Target:"iptables" Chain:"DOCKER" Install:"insert" Verdict:"accept"}`},
		{`install = "insert"`, `{ExternalInterfaces:["eth0"] IPv4:true IPv6:true Target:"iptables" Chain:"DOCKER-USER" Install:"insert" Verdict:"accept"}`},
		{`install = "jump"`, `{ExternalInterfaces:["eth0"] IPv4:true IPv6:true Target:"iptables" Chain:"DOCKER-USER" Install:"jump" Verdict:"return"}`},
		{"install = \"jump\"\nverdict = \"accept\"", `{ExternalInterfaces:["eth0"] IPv4:true IPv6:true Target:"iptables" Chain:"DOCKER-USER" Install:"jump" Verdict:"accept"}`},
		{`verdict = "return"`, `{ExternalInterfaces:["eth0"] IPv4:true IPv6:true Target:"iptables" Chain:"DOCKER-USER" Install:"replace" Verdict:"return"}`},
	} {
		p, diags := parse(t, "host {\n external_interfaces = [\"eth0\"]\n"+c.attributes+"\n}\n")
		if diags.HasErrors() {
			t.Errorf("%s: %v", c.attributes, diags)
			continue
		}
		// Other attributes of the host are tested with their effects.
		if diff := cmp.Diff(c.want, strings.Replace(show(p.Host), " InputGuard:true", "", 1)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.attributes, diff)
		}
	}
}

func TestBlocksThatAreNotWrittenHaveDefaults(t *testing.T) {
	p, diags := parse(t, "")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if got, want := show(p.Established), `{}`; got != want {
		t.Errorf("established: %s", got)
	}
	if got, want := show(p.Default), `{Action:"drop"}`; got != want {
		t.Errorf("default: %s", got)
	}
	if p.Egress != nil || p.Rules != nil || p.Sets != nil {
		t.Errorf("%s %s %s", show(p.Egress), show(p.Rules), show(p.Sets))
	}
}

func TestSets(t *testing.T) {
	for _, c := range []struct{ attributes, want string }{
		{``, `{Name:"s" Type:"hash:net" Aggregate:true Managed:true}`},
		{`entries = ["192.0.2.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9", "2001:db8::/32"]`, `{Name:"s" Type:"hash:net" Entries:[192.0.2.1 10.0.0.0/8 10.0.0.1-10.0.0.9 2001:db8::/32] Aggregate:true Managed:true}`},
		{"files = [\"a.txt\"]\nexclude = [\"192.0.2.1\"]\nexclude_files = [\"b.txt\"]", `{Name:"s" Type:"hash:net" Exclude:[192.0.2.1] Files:["a.txt"] ExcludeFiles:["b.txt"] Aggregate:true Managed:true}`},
		{`type = "hash:ip"`, `{Name:"s" Type:"hash:ip" Managed:true}`},
		{`aggregate = false`, `{Name:"s" Type:"hash:net" Managed:true}`},
		{`managed = false`, `{Name:"s" Type:"hash:net" Aggregate:true}`},
		{"hashsize = 100\nmaxelem = 5\ntimeout = 0", `{Name:"s" Type:"hash:net" Aggregate:true Managed:true HashSize:100 MaxElem:5 Timeout:0}`},
		{"counters = true\ncomment = true", `{Name:"s" Type:"hash:net" Aggregate:true Managed:true Counters:true Comment:true}`},
		{`entries = [for i in range(1, 3) : "192.0.2.${i}"]`, `{Name:"s" Type:"hash:net" Entries:[192.0.2.1 192.0.2.2] Aggregate:true Managed:true}`},
	} {
		p, diags := parse(t, "ipset \"s\" {\n"+c.attributes+"\n}\n")
		if diags.HasErrors() {
			t.Errorf("%s: %v", c.attributes, diags)
			continue
		}
		if diff := cmp.Diff(c.want, show(p.Sets[0])); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.attributes, diff)
		}
	}
}

const ports = "protocol = \"tcp\"\n"

func TestRules(t *testing.T) {
	for _, c := range []struct{ kind, attributes, want string }{
		{"accept", ``, `{Kind:"accept" Name:"r"}`},
		{"deny", ``, `{Kind:"deny" Name:"r" Action:"drop"}`},
		{"deny", `action = "reject"`, `{Kind:"deny" Name:"r" Action:"reject"}`},
		{"accept", `description = "for people"`, `{Kind:"accept" Name:"r" Description:"for people"}`},
		{"accept", `source = ["192.0.2.1", ipset.s]`, `{Kind:"accept" Name:"r" Source:{Items:[{Literal:192.0.2.1} {Set:"s"}]}}`},
		{"accept", `source_not = ["2001:db8::/32"]`, `{Kind:"accept" Name:"r" SourceNot:{Items:[{Literal:2001:db8::/32}]}}`},
		{"accept", `destination = ["172.17.0.2"]`, `{Kind:"accept" Name:"r" Destination:{Items:[{Literal:172.17.0.2}]}}`},
		{"accept", `destination_not = [ipset.s]`, `{Kind:"accept" Name:"r" DestinationNot:{Items:[{Set:"s"}]}}`},
		{"accept", `protocol = "udp"`, `{Kind:"accept" Name:"r" Protocols:[{Number:17 Name:"udp"}]}`},
		{"accept", `protocol = ["tcp", 47, "41"]`, `{Kind:"accept" Name:"r" Protocols:[{Number:6 Name:"tcp"} {Number:47 Name:"47"} {Number:41 Name:"41"}]}`},
		{"accept", `protocol = 17`, `{Kind:"accept" Name:"r" Protocols:[{Number:17 Name:"udp"}]}`},
		{"accept", ports + `published_ports = [80, "443", "8000-8010", "1-1"]`, `{Kind:"accept" Name:"r" Protocols:[{Number:6 Name:"tcp"}] PublishedPorts:[80 443 8000-8010 1]}`},
		{"accept", ports + `container_ports = [65535]`, `{Kind:"accept" Name:"r" Protocols:[{Number:6 Name:"tcp"}] ContainerPorts:[65535]}`},
		{"accept", ports + `source_ports = ["1024-65535"]`, `{Kind:"accept" Name:"r" Protocols:[{Number:6 Name:"tcp"}] SourcePorts:[1024-65535]}`},
		{"accept", `published_address = ["198.51.100.1", "2001:db8::1"]`, `{Kind:"accept" Name:"r" PublishedAddress:[198.51.100.1 2001:db8::1]}`},
		{"accept", `icmp_types = ["echo-request", "packet-too-big"]`, `{Kind:"accept" Name:"r" ICMPTypes:[{V4:8/-1 V6:128/-1} {V6:2/-1}]}`},
		{"accept", "protocol = \"icmp\"\nicmp_types = [13, \"3/4\", \"254\"]", `{Kind:"accept" Name:"r" Protocols:[{Number:1 Name:"icmp"}] ICMPTypes:[{V4:13/-1} {V4:3/4} {V4:254/-1}]}`},
		{"accept", "interfaces = [\"wg+\"]\nout_interfaces = [\"br-dmz\"]", `{Kind:"accept" Name:"r" Interfaces:["wg+"] OutInterfaces:["br-dmz"]}`},
		{"accept", "rate {\nlimit = \"20/second\"\n}", `{Kind:"accept" Name:"r" Rate:{Limit:{Count:20 Seconds:1} Burst:5 PerSource:true}}`},
		{"accept", "rate {\nlimit = \"7/minute\"\nburst = 9\nper = \"rule\"\n}", `{Kind:"accept" Name:"r" Rate:{Limit:{Count:7 Seconds:60} Burst:9}}`},
		{"deny", "connections {\nmax = 5\nper_prefix_v6 = 64\n}", `{Kind:"deny" Name:"r" Action:"drop" Connections:{Max:5 PrefixV4:32 PrefixV6:64}}`},
		{"deny", "log {}", `{Kind:"deny" Name:"r" Action:"drop" Log:{Prefix:"dockerfw r: " Level:4 Limit:{Count:10 Seconds:60}}}`},
		{"deny", "log {\nprefix = \"x: \"\nlevel = \"info\"\nlimit = \"1/second\"\n}", `{Kind:"deny" Name:"r" Action:"drop" Log:{Prefix:"x: " Level:6 Limit:{Count:1 Seconds:1}}}`},
		{"deny", "log {\nnflog_group = 0\n}", `{Kind:"deny" Name:"r" Action:"drop" Log:{Prefix:"dockerfw r: " Level:4 Limit:{Count:10 Seconds:60} Group:0}}`},
		{"accept", `expires = "2027-01-31"`, `{Kind:"accept" Name:"r" Expires:2027-02-01T00:00:00Z}`},
		{"accept", `expires = "2027-01-31T18:00:00+02:00"`, `{Kind:"accept" Name:"r" Expires:2027-01-31T16:00:00Z}`},
	} {
		p, diags := parse(t, "ipset \"s\" {\n}\n"+c.kind+" \"r\" {\n"+c.attributes+"\n}\n")
		if diags.HasErrors() {
			t.Errorf("%s: %v", c.attributes, diags)
			continue
		}
		if diff := cmp.Diff(c.want, show(p.Rules[0])); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.attributes, diff)
		}
	}
}

func TestForEachMakesOneRulePerElement(t *testing.T) {
	p, diags := parse(t, `
accept "port" {
  for_each        = { web = 443, ssh = 22 }
  protocol        = "tcp"
  published_ports = [each.value]
  description     = each.key
}
deny "net" {
  for_each = toset(["b", "a"])
  source   = ["192.0.2.${each.key == "a" ? 1 : 2}"]
}
`)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	want := `[{Kind:"accept" Name:"port-ssh" Protocols:[{Number:6 Name:"tcp"}] PublishedPorts:[22] Description:"ssh"}` +
		` {Kind:"accept" Name:"port-web" Protocols:[{Number:6 Name:"tcp"}] PublishedPorts:[443] Description:"web"}` +
		` {Kind:"deny" Name:"net-a" Source:{Items:[{Literal:192.0.2.1}]} Action:"drop"}` +
		` {Kind:"deny" Name:"net-b" Source:{Items:[{Literal:192.0.2.2}]} Action:"drop"}]`
	if diff := cmp.Diff(want, show(p.Rules)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEstablishedDefaultAndEgress(t *testing.T) {
	p, diags := parse(t, `
established {
  sessions     = "recheck"
  drop_invalid = true
}
default {
  allow  = ["192.0.2.1"]
  action = "reject"
}
egress {
  deny "smtp" {
    protocol        = "tcp"
    container_ports = [25]
  }
}
`)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for what, c := range map[string][2]string{
		"established": {show(p.Established), `{Recheck:true DropInvalid:true}`},
		"default":     {show(p.Default), `{Written:true Allow:{Items:[{Literal:192.0.2.1}]} Action:"reject"}`},
		"egress":      {show(p.Egress), `{Rules:[{Kind:"deny" Name:"smtp" Protocols:[{Number:6 Name:"tcp"}] ContainerPorts:[25] Action:"drop"}] Default:{Action:"return"}}`},
	} {
		if diff := cmp.Diff(c[1], c[0]); diff != "" {
			t.Errorf("%s (-want +got)\n%s", what, diff)
		}
	}
}

// Each error is at the narrowest place: the marked text is in the table.
func TestErrorsMarkTheWrongText(t *testing.T) {
	rule := func(attributes string) string { return "accept \"r\" {\n" + attributes + "\n}\n" }
	for _, c := range []struct {
		policy string
		code   diag.Code
		marked string
	}{
		{rule(`protocol = "tpc"`), diag.CodeProtocol, `"tpc"`},
		{rule(`protocol = ["tcp", "tcp"]`), diag.CodeDuplicate, `"tcp"`},
		{rule(`protocol = 0`), diag.CodeProtocol, `0`},
		{rule(`protocol = 256`), diag.CodeProtocol, `256`},
		{rule(`published_ports = [443]`), diag.CodePort, `[443]`},
		{rule(ports + `published_ports = [0]`), diag.CodePort, `0`},
		{rule(ports + `published_ports = [443, 65536]`), diag.CodePort, `65536`},
		{rule(ports + `published_ports = ["80-79"]`), diag.CodePort, `"80-79"`},
		{rule(ports + `published_ports = ["80:90"]`), diag.CodePort, `"80:90"`},
		{rule(ports + `published_ports = [80, "70-90"]`), diag.CodeDuplicate, `"70-90"`},
		{rule(ports + `published_ports = [1.5]`), diag.CodePort, `1.5`},
		{rule(ports + `published_ports = []`), diag.CodeValue, `[]`},
		{rule(ports + `published_ports = 80`), diag.CodeType, `80`},
		{rule("protocol = \"icmp\"\npublished_ports = [80]"), diag.CodePort, `"icmp"`},
		{rule(`source = []`), diag.CodeValue, `[]`},
		{rule(`source = [7]`), diag.CodeType, `7`},
		{rule(`source = [ipset.nope]`), diag.CodeReference, `nope`},
		{rule(`source = [nope.x]`), diag.CodeReference, `nope.x`},
		{rule(`sauce = ["192.0.2.1"]`), diag.CodeSchema, `sauce`},
		{rule(`icmp_types = [8]`), diag.CodeICMPType, `8`},
		{rule("protocol = \"icmp\"\nicmp_types = [255]"), diag.CodeICMPType, `255`},
		{rule("protocol = \"icmp\"\nicmp_types = [\"255/0\"]"), diag.CodeICMPType, `"255/0"`},
		{rule("protocol = \"tcp\"\nicmp_types = [\"echo-request\"]"), diag.CodeICMPType, `"tcp"`},
		{rule(`icmp_types = ["echo-request", "echo-request"]`), diag.CodeDuplicate, `"echo-request"`},
		{rule(`interfaces = ["eth0:1"]`), diag.CodeInterface, `"eth0:1"`},
		{rule(`interfaces = ["eth+", "eth0"]`), diag.CodeDuplicate, `"eth0"`},
		{rule(`interfaces = ["a-name-too-long0"]`), diag.CodeInterface, `"a-name-too-long0"`},
		{rule(`interfaces = ["+"]`), diag.CodeInterface, `"+"`},
		{rule(`published_address = ["198.51.100.0/24"]`), diag.CodeValue, `"198.51.100.0/24"`},
		{rule(`action = "drop"`), diag.CodeConflict, `"drop"`},
		{rule(`expires = "2026-12-31T18:00:00.5Z"`), diag.CodeValue, `"2026-12-31T18:00:00.5Z"`},
		{rule(`expires = "2039-01-01"`), diag.CodeValue, `"2039-01-01"`},
		{rule(`expires = "1970-12-31"`), diag.CodeValue, `"1970-12-31"`},
		{rule("enabled = false\nexpires = \"soon\""), diag.CodeValue, `"soon"`},
		{"deny \"a\" {\nenabled = false\n}\naccept \"a\" {\n}\n", diag.CodeDuplicate, `"a"`},
		{"ipset \"a\" {\nipv6_name = \"b\"\n}\n", diag.CodeConflict, `"b"`},
		{"ipset \"a\" {\nmanaged = false\nipv6_name = \"b c\"\n}\n", diag.CodeName, `"b c"`},
		{"ipset \"a\" {\nmanaged = false\nipv6_name = \"a\"\n}\n", diag.CodeDuplicate, `"a"`},
		{"ipset \"a\" {\nmanaged = false\nmin_entries = 1\n}\n", diag.CodeUnmanagedFill, `1`},
		{"ipset \"a\" {\nmin_entries = -1\n}\n", diag.CodeValue, `-1`},
		{rule(`expires = "soon"`), diag.CodeValue, `"soon"`},
		{rule("rate {\nlimit = \"0/second\"\n}"), diag.CodeValue, `"0/second"`},
		{rule("rate {\nlimit = \"1/fortnight\"\n}"), diag.CodeValue, `"1/fortnight"`},
		{rule("rate {\n}"), diag.CodeSchema, ``},
		{rule("connections {\nmax = 0\n}"), diag.CodeValue, `0`},
		{rule("log {\nprefix = \"a \\\" b\"\n}"), diag.CodeValue, `"a \" b"`},
		{rule("log {\nprefix = \"" + strings.Repeat("x", 30) + "\"\n}"), diag.CodeValue, `"` + strings.Repeat("x", 30) + `"`},
		{"accept \"two words\" {\n}\n", diag.CodeName, `"two words"`},
		{"accept \"a\" {\n}\ndeny \"a\" {\n}\n", diag.CodeDuplicate, `"a"`},
		{"ipset \"a.b\" {\n}\n", diag.CodeName, `"a.b"`},
		{"ipset \"a-v6\" {\n}\n", diag.CodeName, `"a-v6"`},
		{"ipset \"a\" {\ntype = \"hash:mac\"\n}\n", diag.CodeValue, `"hash:mac"`},
		{"ipset \"a\" {\nentries = [\"192.0.2.1/24\"]\n}\n", diag.CodeHostBits, `192.0.2.1/24`},
		{"ipset \"a\" {\ntype = \"hash:ip\"\naggregate = true\n}\n", diag.CodeConflict, `true`},
		{"ipset \"a\" {\ntimeout = 2147484\n}\n", diag.CodeValue, `2147484`},
		{"default {\nallow = [\"192.0.2.1\"]\naction = \"return\"\n}\n", diag.CodeConflict, `["192.0.2.1"]`},
		{"default {\n}\ndefault {\n}\n", diag.CodeDuplicate, `default`},
		{"established {\nsessions = \"forget\"\n}\n", diag.CodeValue, `"forget"`},
		{"host {\n}\n", diag.CodeSchema, ``},
		{"host {\nexternal_interfaces = []\n}\n", diag.CodeInterface, `[]`},
		{"host {\nexternal_interfaces = [\"eth0\"]\nfamilies = [\"ipv5\"]\n}\n", diag.CodeValue, `"ipv5"`},
		{"host {\nexternal_interfaces = [\"eth0\"]\nchain = \"DOCKER\"\ninstall = \"replace\"\n}\n", diag.CodeConflict, `"replace"`},
		{"# no host\nlocals {\n}\n", diag.CodeSchema, ``},
		{"locals {\na = local.b\nb = local.a\n}\n", diag.CodeReference, `a`},
		{"frobnicate {\n}\n", diag.CodeSchema, `frobnicate`},
	} {
		_, diags := parse(t, c.policy)
		text := c.policy
		if !strings.Contains(text, "host") {
			text = "host {\n  external_interfaces = [\"eth0\"]\n}\n" + text
		}
		found := false
		var got []string
		for _, d := range diags {
			marked, code := "", diag.InfoOf(d).Code
			if d.Subject != nil && d.Subject.End.Byte <= len(text) {
				marked = text[d.Subject.Start.Byte:d.Subject.End.Byte]
			}
			got = append(got, fmt.Sprintf("[%s] %s: %q", code, d.Summary, marked))
			found = found || d.Severity == hcl.DiagError && marked == c.marked && code == c.code
			if d.Summary == "" || code == 0 {
				t.Errorf("%s\nan error without summary or code: %v", c.policy, d)
			}
		}
		if !found {
			t.Errorf("%s\nwant [%s] at %q, got:\n%s", c.policy, c.code, c.marked, strings.Join(got, "\n"))
		}
	}
}
