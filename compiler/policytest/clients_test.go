package policytest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/policytest"
)

const clientsPolicy = `
host {
  external_interfaces  = ["eth0", "eth1"]
  container_interfaces = ["br-+"]
}
ipset "office" { entries = ["192.0.2.0/24", "2001:db8::/32"] }
ipset "bans" { managed = false }
deny "bans" { source = [ipset.bans] }
deny "flood" {
  protocol        = "tcp"
  published_ports = [25]
  rate { limit = "5/minute" }
}
accept "office" {
  protocol        = "tcp"
  published_ports = [5432]
  source          = [ipset.office]
}
accept "site" {
  protocol          = "tcp"
  published_ports   = [443]
  published_address = ["198.51.100.1", "2001:db8:1::80"]
  expires           = "2030-01-31"
}
accept "wide" {
  protocol        = "tcp"
  published_ports = [80]
  rate { limit = "20/second" }
}
accept "vpn" {
  protocol        = "udp"
  published_ports = [53]
  interfaces      = ["eth1"]
}
accept "high" {
  protocol        = "tcp"
  published_ports = [7000]
  source_ports    = ["1024-65535"]
}
accept "straight" {
  protocol        = "udp"
  container_ports = [123]
  destination     = ["172.18.0.5"]
}
egress {
  deny "private" { destination = ["10.0.0.0/8"] }
}
`

// Each case is the attributes of a test about several clients, and what decides about the
// counterexample; "" if the test passes. proxy is set if that ends at docker-proxy.
var clientCases = []struct {
	test, got, by string
	proxy         bool
}{
	{"from = \"anyone\"\nfrom_not = [ipset.office]\nto_port = 5432\nexpect = \"refused\"", "", "", false},
	{"from_not = [ipset.office]\nto_port = 5432\nexpect = \"drop\"", "", "", false},
	{"from = [\"192.0.2.0/23\"]\nfrom_not = [\"192.0.2.0/25\"]\nto_port = 5432\nexpect = \"refused\"", "accept", "accept.office", false},
	{"from = [ipset.office]\nfrom_not = [ipset.bans]\nto_port = 5432\nexpect = \"allowed\"", "", "", false},
	{"from = [ipset.office]\nto_port = 5432\nexpect = \"allowed\"", "drop", "deny.bans", false},
	// Nothing protects this port where docker-proxy answers.
	{"from = \"anyone\"\nto_port = 6379\nexpect = \"refused\"", "docker", "", true},
	{"from = \"anyone\"\nto_port = 6379\nexpect = \"refused\"\nproxy = false", "", "", false},
	{"from = \"anyone\"\nto_port = 6379\nexpect = \"refused\"\nproxy = true", "docker", "", true},
	// Another address of the host, source port or interface, which the test does not set.
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nto_port = 443\nexpect = \"allowed\"", "drop", "default", false},
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nto_port = 443\nto_address = \"198.51.100.1\"\nexpect = \"allowed\"", "", "", false},
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nto_port = 7000\nexpect = \"allowed\"", "drop", "default", false},
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nprotocol = \"udp\"\nto_port = 53\nexpect = \"allowed\"", "drop", "default", false},
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nprotocol = \"udp\"\nto_port = 53\ninterface = \"eth1\"\nexpect = \"allowed\"", "", "", false},
	// Limits are not reached; the block that decides; ACCEPT is on one path only.
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nto_port = 80\nexpect = \"allowed\"\nby = \"accept.wide\"", "", "", false},
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nto_port = 80\nexpect = \"accept\"", "", "", false},
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nto_port = 80\nexpect = \"allowed\"\nby = \"established\"", "accept", "accept.wide", false},
	{"from = \"anyone\"\nto_port = 25\nexpect = \"refused\"\nby = \"default\"", "drop", "deny.bans", false},
	// Directly to a container, to the outside, and replies.
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nprotocol = \"udp\"\ncontainer_port = 123\nexpect = \"allowed\"", "drop", "default", false},
	{"from = \"anyone\"\nfrom_not = [ipset.bans]\nprotocol = \"udp\"\ncontainer_port = 123\ncontainer = \"172.18.0.5\"\nexpect = \"allowed\"", "", "", false},
	{"from = [\"172.16.0.0/12\"]\ninterface = \"br-a\"\nto_address = \"10.0.0.5\"\nto_port = 443\nexpect = \"refused\"", "", "", false},
	{"from = \"anyone\"\ncontainer_port = 9\nstate = \"reply\"\nexpect = \"allowed\"\nby = \"established\"", "", "", false},
	{"from = \"anyone\"\nprotocol = \"icmpv6\"\nexpect = \"refused\"", "", "", false},
	// No client is left.
	{"from = [\"192.0.2.1\"]\nfrom_not = [ipset.office]\nto_port = 5432\nexpect = \"refused\"", "none", "", false},
}

func runClients(t *testing.T, text string) []policytest.Result {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		t.Fatalf("%s\n%s", diags.Errs(), text)
	}
	results, err := result.Test()
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestSeveralClients(t *testing.T) {
	for _, c := range clientCases {
		r := runClients(t, clientsPolicy+"test \"t\" {\n"+c.test+"\n}\n")[0]
		got := string(r.Got)
		switch {
		case r.Passed():
			got = ""
		case got == "":
			got = "none"
		}
		if got != c.got || got != "" && (r.By != c.by || r.ToProxy != c.proxy) {
			t.Errorf("%s\npassed: %t, %s by %q, to docker-proxy: %t (%s)", c.test, r.Passed(), r.Got, r.By, r.ToProxy, r.Packet)
		}
	}
}

// A test about several clients passes exactly if all tests about one of them do, for the packets
// that such a test assumes.
func TestSeveralClientsAgreeWithEachOfThem(t *testing.T) {
	clients := []string{"192.0.2.1", "192.0.3.1", "203.0.113.7", "2001:db8::1", "2001:db9::1"}
	for _, port := range []string{"80", "443", "5432", "6379"} {
		for _, expect := range []string{"allowed", "refused"} {
			list := `from = ["` + strings.Join(clients, `", "`) + "\"]\nfrom_not = [ipset.bans]\n"
			rest := "to_port = " + port + "\nexpect = \"" + expect + "\"\n"
			text := clientsPolicy + "test \"all\" {\n" + list + rest + "}\n"
			for _, client := range clients {
				for _, proxy := range []string{"false", "true"} {
					text += "test \"one " + client + proxy + "\" {\nfrom = \"" + client + "\"\nproxy = " + proxy + "\n" + rest + "}\n"
				}
			}
			results := runClients(t, text)
			each := true
			for _, r := range results[1:] {
				each = each && r.Passed()
			}
			if all := results[0].Passed(); all && !each || each && !all && port != "443" {
				t.Errorf("port %s, %s: all %t (%s), each %t", port, expect, all, results[0].Packet, each)
			}
		}
	}
}

func TestCoverage(t *testing.T) {
	text := clientsPolicy + `
test "office" {
  from    = "192.0.2.1"
  to_port = 5432
  expect  = "allowed"
}
test "others" {
  from     = "anyone"
  from_not = [ipset.office]
  to_port  = 80
  expect   = "refused"
}
`
	path := filepath.Join(t.TempDir(), "policy.hcl")
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
	c := policytest.CoverageOf(result.Policies(), results)
	var untested []string
	for _, r := range c.Untested {
		untested = append(untested, r.Name.Value)
	}
	// A failed test decides, too; one about several clients by all rules that decide about some.
	if got, want := strings.Join(untested, " "), "flood site vpn high straight private"; got != want || c.Rules != 9 || c.Percent() != 33 {
		t.Errorf("%d rules, %d%%, untested %s; want %s", c.Rules, c.Percent(), got, want)
	}
	if none := policytest.CoverageOf(nil, nil); none.Percent() != 100 {
		t.Errorf("without rules: %d%%", none.Percent())
	}
}
