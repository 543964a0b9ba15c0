package explain_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/explain"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/policytest"
	"github.com/dockerfw/dockerfw/golden/lab/randompolicy"
	"github.com/dockerfw/dockerfw/parser"
)

// request is a question, as the attributes of a test block.
type request struct {
	from, toAddress, container string
	toPort, containerPort      uint16
	protocol, in, out, state   string
	proxy                      bool
}

var protocols = map[string]uint8{"": 6, "tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58}

// block is the test block with the question.
func (a request) block() string {
	var b strings.Builder
	b.WriteString("test \"one\" {\nexpect = \"refused\"\n")
	for _, f := range []struct{ name, value string }{
		{"from", a.from},
		{"to_address", a.toAddress},
		{"container", a.container},
		{"protocol", a.protocol},
		{"interface", a.in},
		{"out_interface", a.out},
		{"state", a.state},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, "%s = %q\n", f.name, f.value)
		}
	}
	for name, port := range map[string]uint16{"to_port": a.toPort, "container_port": a.containerPort} {
		if port != 0 {
			fmt.Fprintf(&b, "%s = %d\n", name, port)
		}
	}
	if a.proxy {
		b.WriteString("proxy = true\n")
	}
	return b.String() + "}\n"
}

// question is the same question for explain.
func (a request) question() explain.Question {
	address := func(text string) netip.Addr {
		if text == "" {
			return netip.Addr{}
		}
		return netip.MustParseAddr(text)
	}
	states := map[string]ir.CTState{
		"": ir.CTNew, "new": ir.CTNew, "established": ir.CTEstablished, "reply": ir.CTEstablished,
		"related": ir.CTRelated, "invalid": ir.CTInvalid, "untracked": ir.CTUntracked,
	}
	return explain.Question{
		From: address(a.from), ToAddress: address(a.toAddress), Container: address(a.container),
		ToPort: a.toPort, ContainerPort: a.containerPort, Protocol: protocols[a.protocol],
		In: a.in, Out: a.out, State: states[a.state], Reply: a.state == "reply", Proxy: a.proxy,
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// agree compares the verdict of a test block with those of explain for the policy and for what
// it compiles to. It returns nil if the policy or the question is not valid.
func agree(t fataler, dir, policy string, a request) *policytest.Result {
	t.Helper()
	path, compiled := filepath.Join(dir, "policy.hcl"), filepath.Join(dir, "compiled")
	if err := os.WriteFile(path, []byte(policy+a.block()), 0o600); err != nil {
		t.Fatalf("%s", err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		return nil
	}
	if err := os.RemoveAll(compiled); err != nil {
		t.Fatalf("%s", err)
	}
	for name, content := range result.Folder() {
		file := filepath.Join(compiled, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatalf("%s", err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatalf("%s", err)
		}
	}
	results, err := result.Test()
	if err != nil {
		t.Fatalf("%s", err)
	}
	tested := results[0]
	for _, name := range []string{path, compiled} {
		opened, diags, err := snapshot.Open(name, driver.Options{})
		if err != nil || diags.HasErrors() {
			t.Fatalf("%v %v", err, diags)
		}
		answers, err := explain.Explain(opened.Hosts[0], a.question(), "")
		if err != nil {
			t.Fatalf("%s: the test gets %s, explain: %s\n%s", filepath.Base(name), tested.Got, err, policy+a.block())
		}
		answer := answers[0]
		if got, want := answer.Packet.String(), tested.Packet.String(); got != want {
			t.Errorf("%s: explain sends %s\ntest sends %s\n%s", filepath.Base(name), got, want, policy+a.block())
		}
		if !hasCase(answer.Cases, tested) {
			t.Errorf("%s: the test gets %s by %q, explain %s\n%s", filepath.Base(name), tested.Got, tested.By, cases(answer.Cases), policy+a.block())
		}
	}
	return &tested
}

var verdicts = map[packet.Kind]string{packet.Accept: "accept", packet.Drop: "drop", packet.Reject: "reject", packet.Docker: "docker"}

// hasCase reports whether explain has the verdict of a test. A test assumes that no limit is
// reached; explain has a case for each. A block that leaves packets to Docker may compile to no
// rule, and then explain has no block.
func hasCase(cases []explain.Case, tested policytest.Result) bool {
	for _, c := range cases {
		if verdicts[c.Verdict.Kind] == string(tested.Got) && (tested.Got == parser.ExpectDocker || block(c.By.Name) == tested.By) {
			return true
		}
	}
	return false
}

// block is the name of a block as tests write it: accept.web for accept "web", and established for
// both of its rules.
func block(name string) string {
	if strings.HasPrefix(name, "established") {
		return "established"
	}
	return strings.ReplaceAll(strings.Replace(name, " ", ".", 1), `"`, "")
}

func cases(all []explain.Case) string {
	var out []string
	for _, c := range all {
		out = append(out, fmt.Sprintf("%s by %q", verdicts[c.Verdict.Kind], block(c.By.Name)))
	}
	return strings.Join(out, ", ")
}

// openDefault has an interface of containers that only a rule lists: rules show that it is none of
// those of the host where the default refuses packets.
const openDefault = `
host {
  target               = "TARGET"
  external_interfaces  = ["eth0"]
  container_interfaces = ["docker0"]
}
deny "other" {
  source         = ["192.0.2.66"]
  out_interfaces = ["br-+"]
}
default {
  action = "return"
}
`

// onlyEgress compiles to no rule for packets from outside.
const onlyEgress = `
host {
  target               = "TARGET"
  external_interfaces  = ["eth0"]
  container_interfaces = ["docker0"]
}
default {
  action = "return"
}
established {
  sessions = "recheck"
}
egress {
  deny "private" {
    destination = ["10.0.0.0/8"]
  }
}
`

func TestExplainAndTestAgreeWithoutADefault(t *testing.T) {
	toOutside := request{from: "192.0.2.9", toAddress: "198.51.100.1", toPort: 443, out: "br-b"}
	for _, policy := range []string{openDefault, onlyEgress} {
		for _, target := range []string{"iptables", "nftables"} {
			tested := agree(t, t.TempDir(), strings.Replace(policy, "TARGET", target, 1), toOutside)
			if tested == nil {
				t.Errorf("refused: %s", policy)
			} else if tested.Packet.DNAT {
				t.Errorf("%s is translated to a container:\n%s", tested.Packet, policy)
			}
		}
	}
}

const agreed = `
host {
  external_interfaces = ["eth0"]
}
deny "dmz" {
  source     = ["192.0.2.66"]
  interfaces = ["wg0"]
}
accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}
accept "ping" {
  protocol = ["icmp", "icmpv6"]
}
default {}
egress {
  deny "private" {
    destination = ["10.0.0.0/8", "fc00::/7"]
    action      = "reject"
  }
}
`

func TestExplainAndTestAgree(t *testing.T) {
	for _, c := range []struct {
		a       request
		got, by string
	}{
		{request{from: "192.0.2.9", toPort: 443}, "accept", "accept.web"},
		{request{from: "2001:db8::9", toPort: 443}, "accept", "accept.web"},
		{request{from: "192.0.2.9", toPort: 80}, "drop", "default"},
		{request{from: "192.0.2.9", containerPort: 443}, "drop", "default"},
		{request{from: "192.0.2.66", toPort: 443, in: "wg0"}, "drop", "deny.dmz"},
		{request{from: "192.0.2.9", toPort: 80, in: "wg0"}, "docker", ""},
		{request{from: "172.17.0.2", toAddress: "10.0.0.5", toPort: 443, in: "docker0"}, "reject", "deny.private"},
		{request{from: "fd00::2", toAddress: "fd01::5", toPort: 443, in: "docker0"}, "reject", "deny.private"},
		{request{from: "172.17.0.2", toAddress: "203.0.113.80", toPort: 443, in: "docker0"}, "docker", ""},
		{request{from: "172.17.0.2", container: "10.0.0.5", containerPort: 443, in: "docker0", out: "br-web"}, "docker", ""},
		{request{from: "192.0.2.9", containerPort: 40000, state: "reply"}, "accept", "established"},
		{request{from: "192.0.2.9", containerPort: 40000, state: "invalid"}, "drop", "default"},
		{request{from: "192.0.2.9", toPort: 443, proxy: true}, "docker", "accept.web"},
		{request{from: "192.0.2.9", toPort: 80, proxy: true}, "docker", ""},
		{request{from: "192.0.2.9", toPort: 443, containerPort: 8443, container: "172.18.0.5", out: "br-web"}, "accept", "accept.web"},
		{request{from: "192.0.2.9", protocol: "icmp"}, "accept", "accept.ping"},
		{request{from: "2001:db8::9", protocol: "icmpv6"}, "accept", "accept.ping"},
	} {
		tested := agree(t, t.TempDir(), agreed, c.a)
		switch {
		case tested == nil:
			t.Errorf("refused: %s", c.a.block())
		case string(tested.Got) != c.got || tested.By != c.by:
			t.Errorf("got %s by %q, want %s by %q: %s", tested.Got, tested.By, c.got, c.by, c.a.block())
		}
	}
}

func TestExplainAndTestAgreeOnRandomQuestions(t *testing.T) {
	dir, agreed, refused := t.TempDir(), 0, 0
	rapid.Check(t, func(t *rapid.T) {
		pick := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, "field") }
		port := func() uint16 { return rapid.SampledFrom([]uint16{0, 80, 443, 53, 1500}).Draw(t, "port") }
		policy := randompolicy.Text(t)
		question := func() request {
			a := request{
				protocol: pick("", "tcp", "udp", "sctp"), in: pick("", "", "eth0", "wg0", "docker0", "br-a"),
				out: pick("", "", "docker0", "eth0", "br-b"), state: pick("", "", "established", "reply", "related", "invalid", "untracked"),
				toPort: port(), containerPort: port(), proxy: rapid.IntRange(0, 5).Draw(t, "proxy") == 0,
			}
			if rapid.Bool().Draw(t, "IPv6") {
				a.from, a.toAddress, a.container = pick("2001:db8::1", "2001:db9::1"), pick("", "2001:db8::80", "2001:db8::1"), pick("", "", "fd00::9")
			} else {
				a.from, a.toAddress, a.container = pick("192.0.2.1", "192.0.2.140", "203.0.113.9"), pick("", "198.51.100.1", "10.0.0.5"), pick("", "", "172.18.0.9")
			}
			return a
		}
		// Nine of ten random questions are refused.
		for range 5 {
			if agree(t, dir, policy, question()) != nil {
				agreed++
				return
			}
			refused++
		}
	})
	t.Logf("%d agreed, %d refused", agreed, refused)
	if agreed == 0 {
		t.Errorf("no question was answered: %d refused", refused)
	}
}
