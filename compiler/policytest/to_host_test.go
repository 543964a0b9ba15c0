package policytest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

// A packet to the host is decided by the policy's rules if its port is published, and by the
// input block otherwise; never by both.
func TestPacketsForTheHostGetTheVerdictOfInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.hcl")
	policy := `
host {
  external_interfaces = ["eth0"]
  proxy_ports         = ["53/udp"]
}
established { sessions = "recheck" }
deny "bad" { source = ["203.0.113.0/24"] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
input {
  deny "scanner" {
    source = ["192.0.2.66"]
    action = "reject"
  }
  accept "ssh" {
    protocol    = "tcp"
    ports       = [22, 443]
    source      = ["192.0.2.0/24", "203.0.113.0/24", "2001:db8::/32"]
    destination = ["198.51.100.1", "::/0"]
  }
  accept "wg" {
    protocol   = "udp"
    ports      = [51820]
    rate { limit = "1/second" }
  }
  default { allow = ["192.0.2.128/25"] }
}
default { allow = ["192.0.2.7"] }
`
	for _, c := range []struct{ packet, expect, by string }{
		{`from = "192.0.2.1"` + "\nto_port = 22\nto_address = \"198.51.100.1\"", "docker", "accept.ssh"},
		{`from = "192.0.2.1"` + "\nto_port = 22\nto_address = \"198.51.100.2\"", "drop", "default"},
		{`from = "2001:db8::1"` + "\nto_port = 22", "docker", "accept.ssh"},
		{`from = "2001:db9::1"` + "\nto_port = 22", "drop", "default"},
		{`from = "192.0.2.66"` + "\nto_port = 22\nto_address = \"198.51.100.1\"", "reject", "deny.scanner"},
		// The deny of the policy is for published ports, that of input for all others.
		{`from = "203.0.113.1"` + "\nto_port = 22\nto_address = \"198.51.100.1\"", "docker", "accept.ssh"},
		{`from = "203.0.113.1"` + "\nto_port = 443", "drop", "deny.bad"},
		{`from = "192.0.2.66"` + "\nto_port = 443", "docker", "accept.https"},
		{`from = "2001:db9::1"` + "\nto_port = 443", "docker", "accept.https"},
		{`from = "192.0.2.99"` + "\nprotocol = \"udp\"\nto_port = 53", "drop", "default"},
		{`from = "192.0.2.7"` + "\nprotocol = \"udp\"\nto_port = 53", "docker", ""},
		// allow of the policy is not that of input.
		{`from = "192.0.2.7"` + "\nto_port = 5432", "drop", "default"},
		{`from = "192.0.2.200"` + "\nto_port = 5432", "docker", ""},
		{`from = "192.0.2.99"` + "\nprotocol = \"udp\"\nto_port = 51820", "docker", "accept.wg"},
		{`from = "192.0.2.99"` + "\nprotocol = \"udp\"\nto_port = 68", "docker", ""},
		{`from = "192.0.2.99"` + "\nprotocol = \"udp\"\nto_port = 546", "drop", "default"},
		{`from = "fe80::1"` + "\nprotocol = \"udp\"\nto_port = 546", "docker", ""},
		{`from = "fe80::1"` + "\nprotocol = \"sctp\"\nto_port = 546", "drop", "default"},
		{`from = "192.0.2.99"` + "\nprotocol = \"icmp\"", "docker", ""},
		{`from = "192.0.2.66"` + "\nprotocol = \"icmp\"", "reject", "deny.scanner"},
		{`from = "fe80::1"` + "\nprotocol = \"icmpv6\"", "docker", ""},
		{`from = "192.0.2.99"` + "\nprotocol = 47", "docker", ""},
		{`from = "192.0.2.99"` + "\nprotocol = 33", "drop", "default"},
		{`from = "192.0.2.99"` + "\nprotocol = 136", "drop", "default"},
		// Sessions are rechecked at published ports only.
		{`from = "192.0.2.99"` + "\nto_port = 22\nstate = \"established\"", "docker", "established"},
		{`from = "203.0.113.1"` + "\nto_port = 443\nstate = \"established\"", "drop", "deny.bad"},
		{`from = "192.0.2.99"` + "\nto_port = 22\nstate = \"untracked\"", "drop", "default"},
		{`from = "192.0.2.99"` + "\nto_port = 22\ninterface = \"eth1\"", "docker", ""},
		{`from = "192.0.2.66"` + "\nto_port = 22\ninterface = \"lo\"", "docker", ""},
	} {
		text := policy + "test \"t\" {\nto_host = true\nexpect = \"" + c.expect + "\"\n" + c.packet + "\n}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		result, diags := driver.Policy(path, driver.Options{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		results, err := result.Test()
		if err != nil {
			t.Fatal(err)
		}
		r := results[0]
		if string(r.Got) != c.expect || r.By != c.by || r.Packet.Out != "" {
			t.Errorf("%s: got %s by %q, want %s by %q", r.Packet, r.Got, r.By, c.expect, c.by)
		}
	}
}
