package policytest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

const policy = `
host {
  external_interfaces  = ["eth0"]
  container_interfaces = ["br-+"]
}
established { sessions = "SESSIONS" }
ipset "clients" { entries = ["192.0.2.0/24", "2001:db8::/32"] }
ipset "bans" { managed = false }
deny "banned" { source = [ipset.bans] }
deny "lan" {
  source = ["10.0.0.0/8"]
  action = "reject"
}
deny "flood" {
  protocol        = "tcp"
  published_ports = [25]
  rate { limit = "5/minute" }
}
accept "web" {
  protocol        = "tcp"
  published_ports = [443]
  rate { limit = "20/second" }
}
accept "one_address" {
  protocol          = "tcp"
  published_ports   = [8443]
  published_address = ["198.51.100.1"]
}
accept "unused" {
  protocol        = "sctp"
  published_ports = [9]
}
accept "straight" {
  protocol        = "udp"
  container_ports = [53]
}
default { allow = [ipset.clients] }
egress {
  deny "out" { destination = ["10.0.0.0/8"] }
}
`

// Each case is the attributes of a test block, the verdict, and the block whose rule
// matched.
var cases = []struct{ test, got, by string }{
	{`from = "203.0.113.9"` + "\n" + `to_port = 443`, "accept", "accept.web"}, // limits are not reached
	{`from = "203.0.113.9"` + "\n" + `container_port = 443`, "drop", "default"},
	{`from = "203.0.113.9"` + "\n" + `to_port = 25`, "drop", "default"}, // nor are limits of denies
	{`from = "192.0.2.9"` + "\n" + `to_port = 25`, "docker", ""},
	{`from = "2001:db8::9"` + "\n" + `to_port = 25`, "docker", ""},
	{`from = "2001:db9::9"` + "\n" + `to_port = 25`, "drop", "default"},
	{`from = "10.1.2.3"` + "\n" + `to_port = 443`, "reject", "deny.lan"},
	{`from = "203.0.113.9"` + "\n" + `to_port = 8443` + "\n" + `to_address = "198.51.100.1"`, "accept", "accept.one_address"},
	{`from = "203.0.113.9"` + "\n" + `to_port = 8443` + "\n" + `to_address = "198.51.100.2"`, "drop", "default"},
	{`from = "203.0.113.9"` + "\n" + `to_port = 8443`, "drop", "default"}, // without to_address the packet goes to an address that no rule lists
	{`from = "203.0.113.9"` + "\n" + `to_port = 53` + "\n" + `protocol = "udp"`, "accept", "accept.straight"},
	{`from = "203.0.113.9"` + "\n" + `to_port = 5353` + "\n" + `container_port = 53` + "\n" + `protocol = "udp"`, "accept", "accept.straight"},
	{`from = "203.0.113.9"` + "\n" + `container_port = 40000` + "\n" + `state = "reply"`, "accept", "established"},
	{`from = "10.1.2.3"` + "\n" + `container_port = 40000` + "\n" + `state = "reply"`, "accept", "established"},
	{`from = "203.0.113.9"` + "\n" + `to_port = 5432` + "\n" + `state = "related"`, "accept", "established"},
	{`from = "203.0.113.9"` + "\n" + `container_port = 443` + "\n" + `state = "invalid"`, "drop", "default"},
	{`from = "203.0.113.9"` + "\n" + `to_port = 5432` + "\n" + `interface = "wg0"`, "docker", ""},
	// Packets from containers leave for the outside, unless another bridge is set.
	{`from = "172.17.0.2"` + "\n" + `to_address = "10.1.2.3"` + "\n" + `to_port = 443` + "\n" + `interface = "br-0123456789ab"`, "drop", "deny.out"},
	{`from = "172.17.0.2"` + "\n" + `to_address = "10.1.2.3"` + "\n" + `to_port = 443` + "\n" + `interface = "docker0"`, "docker", ""},
	{`from = "172.17.0.2"` + "\n" + `container = "10.1.2.3"` + "\n" + `container_port = 443` + "\n" + `interface = "br-0123456789ab"` + "\n" + `out_interface = "br-other"`, "docker", ""},
	{`from = "172.17.0.2"` + "\n" + `to_address = "10.1.2.3"` + "\n" + `container_port = 443` + "\n" + `interface = "br-0123456789ab"`, "drop", "deny.out"},
	{`from = "172.17.0.2"` + "\n" + `to_address = "198.51.100.9"` + "\n" + `container_port = 443` + "\n" + `interface = "br-0123456789ab"`, "docker", ""},
}

func TestPacketsGetTheVerdictOfThePolicy(t *testing.T) {
	for _, c := range cases {
		run(t, "keep", c.test, c.got, c.by)
	}
	// The attribute sessions controls whether packets of open sessions pass.
	open := `from = "203.0.113.9"` + "\n" + `to_port = 5432` + "\n" + `state = "established"`
	run(t, "keep", open, "accept", "established")
	run(t, "recheck", open, "drop", "default")
}

// run also expects wrong verdicts: tests with those have to fail.
func run(t *testing.T, sessions, attributes, got, by string) {
	t.Helper()
	wrong := map[string]string{"accept": "drop", "drop": "accept", "reject": "drop", "docker": "accept"}[got]
	text := strings.Replace(policy, "SESSIONS", sessions, 1)
	for i, expect := range []string{got, wrong} {
		text += fmt.Sprintf("test \"t%d\" {\n%s\nexpect = %q\n}\n", i, attributes, expect)
	}
	another := "accept.unused"
	if got == "drop" || got == "reject" {
		another = "deny.banned"
	}
	if by != "" {
		text += fmt.Sprintf("test \"by\" {\n%s\nexpect = %q\nby = %q\n}\n", attributes, got, by)
		text += fmt.Sprintf("test \"by another\" {\n%s\nexpect = %q\nby = %q\n}\n", attributes, got, another)
	}
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		t.Fatalf("%s: %s", attributes, diags.Errs())
	}
	results, err := result.Test()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		name := r.Test.Name.Value
		if pass := name == "t0" || name == "by"; r.Passed() != pass || string(r.Got) != got || r.By != by {
			t.Errorf("%q, test %s: passed %t, got %s by %q; want %s by %q (%s)", attributes, name, r.Passed(), r.Got, r.By, got, by, r.Packet)
		}
	}
}
