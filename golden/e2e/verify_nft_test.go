//go:build linux

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/golden/lab"
)

const liveTablePolicy = `
host {
  external_interfaces = ["eth0"]
  TARGET
}
ipset "clients" { entries = ["192.0.2.10", "2001:db8::10"] }
ipset "bans" { managed = false }
deny "banned" { source = [ipset.bans] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
  rate { limit = "20/second" }
}
accept "dns" {
  protocol        = "udp"
  published_ports = [53]
  expires         = "2037-12-31"
}
default { allow = [ipset.clients] }
`

// What nft lists of a host is what was compiled, and verify finds each change of it.
func TestVerifyComparesTheTableOfNFT(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	// The times that nft lists are those of the zone of its process.
	h.env = append(h.env, "TZ=Asia/Kolkata")
	compiled := compileFolder(t, "table", strings.Replace(liveTablePolicy, "TARGET", `target = "nftables"`, 1))
	iptables := compileFolder(t, "iptables", strings.Replace(liveTablePolicy, "TARGET", "", 1))
	load := func() {
		t.Helper()
		h.Run("nft", "delete", "table", "inet", "dockerfw")
		h.MustRun("nft", "-f", filepath.Join(compiled.dir, "dockerfw.nft"))
	}
	h.expect(h.dockerfw("verify", compiled.dir), 1, "FAIL  rules         table inet dockerfw is missing")
	load()
	h.expect(h.verifyTable(compiled), 0,
		"ok    rules ", "ok    order ", "ok    IPv4 FORWARD ", "ok    IPv4 INPUT ", "ok    IPv6 FORWARD ", "ok    IPv6 INPUT ", "ok    foreign ", "ok    sets ", "ok    iptables ")
	for _, other := range []*deployed{compiled, iptables} {
		h.expect(h.dockerfw("diff", "--strict", "live", other.dir), 0, "no difference")
		h.expect(h.dockerfw("diff", "--strict", other.dir, "live"), 0, "no difference")
	}
	// Another program fills this one.
	h.MustRun("nft", "add", "element", "inet", "dockerfw", "bans", "{ 203.0.113.5 timeout 1h }")
	h.expect(h.verifyTable(compiled), 0)
	h.expect(h.dockerfw("diff", "--strict", "live", compiled.dir), 0, "no difference")
	h.expect(h.dockerfw("explain", "live", "--from", "203.0.113.5", "--to-port", "443", "--proxy"), 0, `Dropped by rule deny "banned"`)
	h.expect(h.dockerfw("explain", "live", "--from", "203.0.113.6", "--to-port", "53", "--protocol", "udp", "--proxy"), 0, `accept "dns"`, "until 2037-12-31")

	set := setNamed(t, compiled, "clients.")
	for _, c := range []struct{ change, fault string }{
		{"add rule inet dockerfw dockerfw-in accept comment \"dockerfw default\"", "FAIL  rules         chain dockerfw-in has 1 rule of another version"},
		{"flush chain inet dockerfw dockerfw-in", "FAIL  rules         chain dockerfw-in has none of its "},
		{"flush chain inet dockerfw forward", "FAIL  IPv4 FORWARD  packets such as "},
		{"insert rule inet dockerfw dockerfw-in tcp dport 22 accept", "FAIL  foreign       table inet dockerfw contains what was not compiled: in chain dockerfw-in the rule tcp dport 22 accept"},
		{"add chain inet dockerfw mine; add rule inet dockerfw mine drop", "FAIL  foreign       table inet dockerfw contains what was not compiled: chain mine with 1 rule"},
		{"add set inet dockerfw mine { type ipv4_addr; }", "set mine"},
		{"add chain inet dockerfw forward { policy drop; }", "FAIL  rules         chain forward has type filter, hook forward, priority -10 and policy drop instead of "},
		{"add element inet dockerfw " + set + " { 192.0.2.77 }", "FAIL  sets          clients: 1 unexpected entry: 192.0.2.77"},
		{"flush set inet dockerfw " + set, "FAIL  sets          clients is empty"},
		{"delete table inet dockerfw", "FAIL  rules         table inet dockerfw is missing"},
		{"add table inet dockerfw { flags dormant; }", "FAIL  rules         table inet dockerfw is dormant"},
		{"add table inet ban; add chain inet ban f { type filter hook forward priority 5; }; add rule inet ban f tcp dport 0-65535 drop", `FAIL  IPv4 FORWARD  accept "https" has no effect: table nft inet ban, chain f: `},
	} {
		h.MustRun("nft", c.change)
		h.expect(h.verifyTable(compiled), 1, c.fault)
		h.Run("nft", "delete", "table", "inet", "ban")
		load()
	}
	h.expect(h.verifyTable(compiled), 0)

	// What another target has loaded is reported on both sides.
	h.expect(h.dockerfw("verify", iptables.dir), 1, "FAIL  nftables      table inet dockerfw is left over from target nftables")
	if err := h.IPTablesRestore(lab.NFT, 4, "*filter\n:DOCKERFW-INPUT - [0:0]\n-A INPUT -j DOCKERFW-INPUT\nCOMMIT\n"); err != nil {
		t.Fatal(err)
	}
	h.expect(h.verifyTable(compiled), 1, "FAIL  iptables      the tables of iptables have rules of dockerfw too, such as iptables -t filter -A INPUT -j DOCKERFW-INPUT")
}

// setNamed is the name in a compiled folder of a set whose name begins so.
func setNamed(t *testing.T, d *deployed, prefix string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, "dockerfw.nft"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "set "); ok && strings.HasPrefix(name, prefix) {
			return strings.TrimSuffix(name, " {")
		}
	}
	t.Fatalf("there is no set %s…", prefix)
	return ""
}

// verifyTable verifies without the checks of the interfaces: that of the tests is down.
func (h *target) verifyTable(d *deployed) outcome {
	h.t.Helper()
	got := h.dockerfw("verify", d.dir)
	var out outcome
	for line := range strings.Lines(got.text) {
		if strings.Contains(line, " interfaces ") || strings.Contains(line, " uplinks ") {
			continue
		}
		if strings.HasPrefix(line, "FAIL") {
			out.code = 1
		}
		out.text += line
	}
	if got.code > 1 {
		out.code = got.code
	}
	return out
}

// The elements of a large set are not listed, which takes nft a minute for a million: its name has the
// digest of them.
func TestVerifyDoesNotListLargeSetsOfNFT(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	var list strings.Builder
	for i := range plan.LargeSet + 1 {
		fmt.Fprintf(&list, "10.%d.%d.%d\n", i>>15&255, i>>7&255, i<<1&255) // every second address, which cannot be joined
	}
	compiled := compileWithList(t, list.String())
	h.MustRun("nft", "-f", filepath.Join(compiled.dir, "dockerfw.nft"))
	large, small := setNamed(t, compiled, "many."), setNamed(t, compiled, "few.")
	h.expect(h.verifyTable(compiled), 0, "; of those with over 100000 entries, which nft lists slowly, the name was compared, which has the digest of the entries (1)")
	h.expect(h.dockerfw("diff", "--strict", "live", compiled.dir), 0, "no difference")
	h.expect(h.dockerfw("diff", "--strict", compiled.dir, "live"), 0, "no difference")
	// All others are listed.
	h.MustRun("nft", "add", "element", "inet", "dockerfw", small, "{ 192.0.2.77 }")
	h.expect(h.verifyTable(compiled), 1, "FAIL  sets          few: 1 unexpected entry: 192.0.2.77")
	h.MustRun("nft", "add table inet other { set s { type ipv4_addr; elements = { 192.0.2.1 }; }; chain f { type filter hook forward priority 5; ip saddr @s drop; }; }")
	h.expect(h.dockerfw("diff", "--strict", "live", compiled.dir), 1, "few: 1 entry removed")
	// A set of another name is another set.
	h.MustRun("nft", "-f", filepath.Join(compiled.dir, "dockerfw.remove.nft"))
	text, err := os.ReadFile(filepath.Join(compiled.dir, "dockerfw.nft"))
	if err != nil {
		t.Fatal(err)
	}
	other := h.path("other.nft")
	if err := os.WriteFile(other, []byte(strings.ReplaceAll(string(text), large, "many.00000000")), 0o600); err != nil {
		t.Fatal(err)
	}
	h.MustRun("nft", "-f", other)
	h.expect(h.verifyTable(compiled), 1, "FAIL  sets          many is of another version: many.00000000 instead of "+large)
}

// compileWithList compiles a policy with a set of a list, and a small one.
func compileWithList(t *testing.T, list string) *deployed {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("many.txt", list)
	result, diags := driver.Policy(write("policy.hcl", `
host {
  external_interfaces = ["eth0"]
  target              = "nftables"
}
ipset "many" { files = ["many.txt"] }
ipset "few" { entries = ["192.0.2.10"] }
deny "many" { source = [ipset.many] }
default { allow = [ipset.few] }
`), driver.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	p := &deployed{"large", filepath.Join(dir, "compiled")}
	if _, err := result.Folder().Write(p.dir); err != nil {
		t.Fatal(err)
	}
	return p
}
