package policytest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
)

// A test with proxy is evaluated by the rules of INPUT, which see the published port only.
func TestPacketsForDockerProxyGetTheVerdictOfTheInputRules(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.hcl")
	policy := `
host {
  external_interfaces = ["eth0"]
  proxy_ports         = [8080]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
accept "inner" {
  protocol        = "tcp"
  published_ports = [8443]
  destination     = ["172.17.0.0/16"]
}
accept "address" {
  protocol          = "tcp"
  published_ports   = [9000]
  published_address = ["192.0.2.80"]
}
default { allow = ["2001:db8::/32"] }
`
	for _, c := range []struct{ packet, expect, by string }{
		{`from = "2001:db9::1"` + "\nto_port = 443", "docker", "accept.https"},
		{`from = "2001:db9::1"` + "\nto_port = 8080", "drop", "default"},
		{`from = "2001:db8::1"` + "\nto_port = 8080", "docker", ""},
		{`from = "192.0.2.1"` + "\nto_port = 8443", "drop", "default"},
		{`from = "192.0.2.1"` + "\nto_port = 22", "docker", ""},
		{`from = "192.0.2.1"` + "\nto_port = 9000\nto_address = \"192.0.2.80\"", "docker", "accept.address"},
		{`from = "192.0.2.1"` + "\nto_port = 9000", "drop", "default"},
		{`from = "192.0.2.1"` + "\nto_port = 8080\nstate = \"established\"", "docker", "established"},
	} {
		text := policy + "test \"t\" {\nproxy = true\nexpect = \"" + c.expect + "\"\n" + c.packet + "\n}\n"
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
