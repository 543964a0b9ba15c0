//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/golden/lab"
)

// nftPolicy is a policy for clients that may connect to containers, with an unmanaged set of bans and limits.
func nftPolicy(target string, clients ...string) string {
	return fmt.Sprintf(`
host {
  target              = %q
  external_interfaces = ["eth0"]
}
ipset "clients" { entries = ["%s"] }
ipset "bans" { managed = false }
deny "bans" { source = [ipset.bans] }
accept "web" {
  protocol        = "tcp"
  published_ports = [443]
  rate {
    limit = "10/minute"
    burst = 20
    per   = "source"
  }
}
default { allow = [ipset.clients] }
`, target, strings.Join(clients, `", "`))
}

// nftFolder compiles a policy with target nftables.
func nftFolder(t *testing.T, name string, clients ...string) *deployed {
	t.Helper()
	return compileFolder(t, name, nftPolicy("nftables", clients...))
}

// changed makes a folder of another text of its table, with a manifest for it.
func (p *deployed) changed(t *testing.T, name, old, replacement string) *deployed {
	t.Helper()
	out := &deployed{name, filepath.Join(t.TempDir(), "compiled")}
	if err := os.CopyFS(out.dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(out.dir, folder.NFTFile)
	before := readOr(t, path, "")
	text := strings.ReplaceAll(before, old, replacement)
	if text == before {
		t.Fatalf("the file does not contain %q:\n%s", old, before)
	}
	manifest := filepath.Join(out.dir, folder.ManifestFile)
	digests := strings.Replace(readOr(t, manifest, ""), folder.Digest([]byte(before)), folder.Digest([]byte(text)), 1)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.WriteFile(manifest, []byte(digests), 0o600)); err != nil {
		t.Fatal(err)
	}
	return out
}

// set is the name in the table of a set of the policy.
func (p *deployed) set(t *testing.T, name string) string {
	t.Helper()
	table, err := plan.ParseTable([]byte(readOr(t, filepath.Join(p.dir, folder.NFTFile), "")))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range table.Sets() {
		if strings.HasPrefix(s.Name, name+".") {
			return s.Name
		}
	}
	t.Fatalf("no set %s in %s", name, p.name)
	return ""
}

// nftTarget is a host whose interface eth0 leads to two clients and docker0 to a container.
type nftTarget struct {
	*target
	allowed, other, container *lab.Node
}

func newNFTTarget(t *testing.T) *nftTarget {
	t.Helper()
	h := &nftTarget{target: newTarget(t, lab.NFT)}
	h.MustRun("ip", "link", "delete", "eth0")
	for bridge, address := range map[string]string{"eth0": "203.0.113.1/24", "docker0": "172.30.0.1/24"} {
		h.MustRun("ip", "link", "add", bridge, "type", "bridge")
		h.MustRun("ip", "address", "add", address, "dev", bridge)
		h.MustRun("ip", "link", "set", bridge, "up")
	}
	h.Sysctl("net.ipv4.ip_forward", "1")
	n := 0
	node := func(name, bridge, address, gateway string) *lab.Node {
		n++
		ns := lab.NewNamespace(t, "dfw-"+name)
		ns.MustRun("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "host0")
		ns.MustRun("ip", "link", "set", "host0", "netns", h.Name, "name", fmt.Sprint("veth", n))
		h.MustRun("ip", "link", "set", fmt.Sprint("veth", n), "master", bridge, "up")
		ns.MustRun("ip", "address", "add", address+"/24", "dev", "eth0")
		ns.MustRun("ip", "link", "set", "eth0", "up")
		ns.MustRun("ip", "route", "add", "default", "via", gateway)
		return &lab.Node{Namespace: ns, Name: name, V4: netip.MustParseAddr(address)}
	}
	h.allowed = node("allowed", "eth0", "203.0.113.10", "203.0.113.1")
	h.other = node("other", "eth0", "203.0.113.66", "203.0.113.1")
	h.container = node("container", "docker0", "172.30.0.2", "172.30.0.1")
	h.container.Serve("80/tcp", "53/udp")
	return h
}

// probes try to get in all the time, over TCP and UDP.
func (h *nftTarget) probes() []*lab.Traffic {
	const interval = 5 * time.Millisecond
	return []*lab.Traffic{
		h.other.StartProbe("tcp", h.container.At(80), interval),
		h.other.StartProbe("udp", h.container.At(53), interval),
	}
}

// requireShut stops probes, none of which may have got in.
func (h *nftTarget) requireShut(probes []*lab.Traffic) {
	h.t.Helper()
	for _, p := range probes {
		tally := p.Stop()
		if tally.Answered > 0 || tally.Attempts < 20 {
			h.t.Errorf("%d of %d probes got in: %v", tally.Answered, tally.Attempts, tally.Unexpected)
		}
	}
}

// requireConnect fails the test unless the allowed client gets in and the other does not.
func (h *nftTarget) requireConnect() {
	h.t.Helper()
	if got := h.allowed.Connect("tcp", h.container.At(80)); got != lab.Answered {
		h.t.Errorf("the allowed client: %s", got)
	}
	if got := h.other.Connect("tcp", h.container.At(80)); got != lab.TimedOut {
		h.t.Errorf("the other client: %s", got)
	}
}

// table is the table as nft lists it, without remaining times; "" if it does not exist.
func (h *target) table() string {
	h.t.Helper()
	out, stderr, err := h.Run("nft", "-s", "list", "table", "inet", "dockerfw")
	if err != nil && !strings.Contains(stderr, "No such file or directory") {
		h.t.Fatal(err)
	}
	return out
}

// requireTable fails the test unless the host has the objects of the table of a folder.
func (h *target) requireTable(p *deployed) {
	h.t.Helper()
	want, err := plan.ParseTable([]byte(readOr(h.t, filepath.Join(p.dir, folder.NFTFile), "")))
	if err != nil {
		h.t.Fatal(err)
	}
	if d := h.tableDifference(want); d != "" {
		h.t.Errorf("%s is not loaded: %s\n%s", p.name, d, h.table())
	}
}

// tableDifference is an object that is not as in a table; "" if all are.
func (h *target) tableDifference(want *plan.Table) string {
	h.t.Helper()
	text := h.table()
	if text == "" {
		return "there is no table"
	}
	have, err := plan.ParseTable([]byte(text))
	if err != nil {
		h.t.Fatal(err)
	}
	if len(have.Objects) != len(want.Objects) {
		return fmt.Sprintf("%d objects instead of %d", len(have.Objects), len(want.Objects))
	}
	for _, o := range want.Objects {
		now := have.Object(o.Kind, o.Name)
		if now == nil || strings.Join(now.Lines, "\n") != strings.Join(o.Lines, "\n") ||
			o.Managed() && strings.Join(now.Elements, ", ") != strings.Join(o.Elements, ", ") {
			return o.Kind + " " + o.Name
		}
	}
	return ""
}

func TestATableOfNFTIsLoadedInOneStep(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	a := nftFolder(t, "a", "203.0.113.10")
	b := nftFolder(t, "b", "203.0.113.0/28", "203.0.113.128")
	h.leavesAlone(func() outcome { return h.apply(a, "--dry-run") }, 0, "table inet dockerfw: create", "nft -f", "set "+a.set(t, "clients"), "+203.0.113.10")
	h.succeeds(a, nil, "loaded "+a.dir, "with nft")
	h.requireTable(a)
	h.requireConnect()
	probes := h.probes()
	h.MustRun("nft", "add", "element", "inet", "dockerfw", "bans", "{ 198.51.100.7 timeout 1h }")
	loaded := h.table()
	h.expect(h.apply(a), 0, "nothing to do")
	if now := h.table(); now != loaded {
		t.Errorf("a load that changes nothing changed the table to\n%s", now)
	}
	out := h.apply(b, "--dry-run")
	h.expect(out, 0, "set "+b.set(t, "clients")+": add 2 entries, remove 1 entry", "chain dockerfw-in of table inet dockerfw: replace the rules", "-203.0.113.10", "+203.0.113.128")
	h.succeeds(b, nil, "loaded")
	h.requireTable(b)
	h.requireConnect()
	if now := h.table(); !strings.Contains(now, "198.51.100.7 timeout 1h") {
		t.Errorf("the unmanaged set lost its elements:\n%s", now)
	}
	h.expect(h.dockerfw("status"), 0, "in force, exactly as compiled", "table inet dockerfw of nft", "not counted", b.set(t, "clients")+" 2", "bans 1 (unmanaged)")
	h.requireShut(probes)
	// What others change is restored, and what they add is removed.
	h.MustRun("nft", "flush", "chain", "inet", "dockerfw", "forward")
	h.MustRun("nft", "delete", "element", "inet", "dockerfw", b.set(t, "clients"), "{ 203.0.113.128 }")
	h.MustRun("nft", "add", "chain", "inet", "dockerfw", "foreign", "{ type filter hook forward priority 0; policy drop; }")
	h.expect(h.dockerfw("status"), 1, "DIFFERENT", "chain forward of table inet dockerfw: replace the rules", "set "+b.set(t, "clients")+": add 1 entry", "chain foreign of table inet dockerfw: remove")
	h.MustRun("nft", "add", "chain", "inet", "dockerfw", "sent", "{ type filter hook output priority 0; policy accept; }")
	h.MustRun("nft", "add", "rule", "inet", "dockerfw", "sent", "tcp", "dport", "25", "drop")
	h.expect(h.apply(b, "--dry-run"), 0, "note: chain sent of table inet dockerfw of live has type filter, hook output, priority 0 and policy accept: what it refuses is not compared", "chain foreign of table inet dockerfw: remove", "newly allowed: drop", "old rule:   none (end of foreign)")
	h.succeeds(b, nil, "loaded")
	h.requireTable(b)
	h.MustRun("nft", "add", "table", "inet", "dockerfw", "{ flags dormant; }")
	h.expect(h.dockerfw("status"), 1, "DORMANT: the kernel ignores table inet dockerfw", "activate", "next       dockerfw apply "+b.dir)
	h.expect(h.dockerfw("status", "--format", "json"), 1, `"state": "dormant"`)
	h.expect(h.apply(b, "--dry-run"), 0, "table inet dockerfw: activate, the kernel ignores it as it is", "newly blocked")
	h.succeeds(b, nil, "loaded")
	h.requireTable(b)
	h.requireConnect()
	h.expect(h.remove(), 0, "removed: no dockerfw rules remain")
	if now := h.table(); now != "" {
		t.Errorf("the table remains:\n%s", now)
	}
	h.requireNoLeftovers()
	h.expect(h.dockerfw("status"), 1, "NOT LOADED")
	h.expect(h.remove(), 0, "nothing to remove")
}

// iptablesFolder compiles a policy for the same clients with target iptables.
func iptablesFolder(t *testing.T) *deployed {
	t.Helper()
	return compileFolder(t, "iptables", nftPolicy("iptables", "203.0.113.10"))
}

// openDocker adds Docker's rules, with one that accepts everything for containers.
func (h *nftTarget) openDocker() {
	h.t.Helper()
	h.addDockerChains(h.backend)
	h.MustRun("iptables-nft", "-A", "DOCKER", "-j", "ACCEPT")
}

// requireNoIPTables fails the test if chains or sets of target iptables are left, apart from unmanaged
// sets.
func (h *nftTarget) requireNoIPTables() {
	h.t.Helper()
	sets := slices.DeleteFunc(h.setNames(), func(s string) bool { return strings.HasPrefix(s, "bans") })
	if saved := h.saved(); strings.Contains(saved, "DOCKERFW") || strings.Contains(saved, "dockerfw") || len(sets) > 0 {
		h.t.Errorf("of target iptables there are %q and\n%s", sets, saved)
	}
}

// requireNoTable fails the test if the table of target nftables is left.
func (h *nftTarget) requireNoTable() {
	h.t.Helper()
	if now := h.table(); now != "" {
		h.t.Errorf("there is still\n%s", now)
	}
}

func TestMovingBetweenTargetsIsNeverOpen(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	ipt, nft := iptablesFolder(t), nftFolder(t, "nft", "203.0.113.10")
	h.openDocker()
	h.succeeds(ipt, nil, "loaded")
	probes := h.probes()
	for range 2 {
		h.succeeds(nft, nil, "loaded", "table inet dockerfw: create")
		h.requireTable(nft)
		h.requireNoIPTables()
		h.requireConnect()
		h.succeeds(ipt, nil, "loaded", "table inet dockerfw: remove")
		h.requireLoaded(ipt)
		h.requireNoTable()
		h.requireConnect()
	}
	// Both ways, a change that is not confirmed is undone.
	h.succeeds(nft, notYet, "loaded")
	h.requireTable(nft)
	h.requireConnect()
	h.expect(h.rollback(), 0, "rolled back")
	h.requireLoaded(ipt)
	h.requireNoTable()
	h.succeeds(nft, notYet, "loaded")
	h.expect(h.confirm(), 0, "confirmed")
	h.requireTable(nft)
	h.requireNoIPTables()
	h.succeeds(ipt, notYet, "loaded")
	h.requireLoaded(ipt)
	h.expire()
	h.waitForRollback()
	h.requireTable(nft)
	h.requireNoIPTables()
	h.requireConnect()
	h.succeeds(ipt, notYet, "loaded")
	h.expect(h.confirm(), 0, "confirmed")
	h.requireLoaded(ipt)
	h.requireNoTable()
	h.requireConnect()
	h.requireShut(probes)
}

func TestAFailureOfNFTChangesNothingOrIsRolledBack(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	a := nftFolder(t, "a", "203.0.113.10")
	b := nftFolder(t, "b", "203.0.113.10", "203.0.113.128")
	h.succeeds(a, nil)
	h.MustRun("nft", "add", "element", "inet", "dockerfw", "bans", "{ 198.51.100.7 timeout 1h, 198.51.100.9 }")
	before, err := plan.ParseTable([]byte(h.table()))
	if err != nil {
		t.Fatal(err)
	}
	bans := strings.Join(before.Object("set", "bans").Elements, ", ")
	unchanged := func() {
		t.Helper()
		if d := h.tableDifference(before); d != "" || !strings.Contains(h.table(), bans) {
			t.Errorf("the table changed (%s) to\n%s", d, h.table())
		}
		h.requireNoLeftovers()
	}
	h.expect(h.apply(a.changed(t, "no set", "@bans ", "@missing ")), 1, "has no set missing", "nothing was changed")
	unchanged()
	// An error that only the kernel finds.
	bad := a.changed(t, "bad", `ip saddr @bans drop comment "dockerfw deny bans"`, `ip saddr @bans jump dockerfw-in comment "dockerfw deny bans"`)
	h.expect(h.apply(bad), 1, "this host cannot load the table", "nothing was changed")
	unchanged()
	h.expect(h.apply(a.changed(t, "no table", "table inet dockerfw {", "table inet other {")), 1, "is not what nft prints", "nothing was changed")
	unchanged()
	// The table of the host cannot become that of the folder.
	other := b.changed(t, "another priority", "filter - 10", "filter - 5")
	h.expect(h.apply(other), 1, "the chain forward of table inet dockerfw has", "priority filter - 10", "priority filter - 5", "--force", "nothing was changed")
	unchanged()
	h.expect(h.apply(b, "--backend", "nft"), 1, "--backend nft selects tables of iptables", "nothing was changed")
	unchanged()
	// Each call fails in turn.
	c := newCalls(h.target)
	for n := 1; ; n++ {
		out, made, hit := c.with(fault{n: n, when: "after", action: "fail", pattern: "nft\\ *"}, func() outcome { return h.apply(b) })
		if !hit {
			h.expect(out, 0, "loaded")
			if len(made) > 7 {
				t.Errorf("a load runs nft %d times: %q", len(made), made)
			}
			break
		}
		h.expect(out, 1, failure)
		unchanged()
		if t.Failed() {
			t.Fatalf("call %d (%s): %s", n, made[n-1], out.text)
		}
	}
	h.requireTable(b)
	h.succeeds(other, []string{"--force"}, "loaded")
	h.requireTable(other)
	h.requireConnect()
}

func TestATableThatAnotherProgramDeletesMeanwhileIsLoadedAgain(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	a := nftFolder(t, "a", "203.0.113.10")
	// With the same sets, its rules are loaded in one step.
	b := compileFolder(t, "b", strings.Replace(nftPolicy("nftables", "203.0.113.10"), "443", "8443", 1))
	h.succeeds(a, nil)
	flushed := h.path("flushed")
	// A rehearsal is in a network namespace of its own.
	h.wrap("nft", fmt.Sprintf(`"$real" "$@" || exit
[ "$*" = "-f -" ] && [ ! -e %[1]q ] && [ "$(/bin/readlink /proc/self/ns/net)" = %[2]q ] || exit 0
: >%[1]q
"$real" flush ruleset`, flushed, strings.TrimSpace(h.MustRun("readlink", "/proc/self/ns/net"))))
	h.succeeds(b, nil, "another program changed the host meanwhile, loading again: ", "loaded")
	if _, err := os.Stat(flushed); err != nil {
		t.Error(err)
	}
	h.requireTable(b)
	h.requireConnect()
}

func TestAKilledLoadOfATableLeavesTheOldOrTheNewOne(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	h.openDocker()
	a := nftFolder(t, "a", "203.0.113.10")
	b := nftFolder(t, "b", "203.0.113.10", "203.0.113.128")
	ipt := iptablesFolder(t)
	h.succeeds(a, nil)
	probes := h.probes()
	c := newCalls(h.target)
	require := func(p *deployed) {
		t.Helper()
		if p == ipt {
			h.requireLoaded(ipt)
			h.requireNoTable()
			return
		}
		h.requireTable(p)
		h.requireNoIPTables()
	}
	from := a
	for i, to := range []*deployed{b, ipt, a} {
		options := [][]string{nil, notYet}[i%2]
		step := 4
		if to == ipt || from == ipt {
			step = 8
		}
		_, tested := c.each(step, i, func(n int, when string) bool {
			call, killed := c.kill(n, when, func() outcome { return h.apply(to, options...) })
			if !killed {
				if h.pending() {
					h.expect(h.rollback(), 0)
				}
				h.succeeds(from, nil)
				return false
			}
			what := fmt.Sprintf("from %s to %s, killed %s call %d (%s)", from.name, to.name, when, n, call)
			if got := h.other.Connect("udp", h.container.At(53)); got == lab.Answered {
				t.Errorf("%s: open", what)
			}
			if h.pending() {
				h.expect(h.rollback(), 0)
				require(from)
			}
			next := []*deployed{to, from}[n%2]
			h.succeeds(next, nil)
			require(next)
			h.succeeds(from, nil)
			require(from)
			if t.Failed() {
				t.Fatal(what)
			}
			return true
		})
		t.Logf("from %s to %s: %d calls", from.name, to.name, tested)
		h.succeeds(to, nil)
		from = to
	}
	h.requireShut(probes)
	h.expect(h.remove(), 0, "removed")
	h.requireNoTable()
}

// withoutIPTables makes dockerfw run on a host that has no iptables and no ipset.
func (h *nftTarget) withoutIPTables() {
	h.t.Helper()
	entries, err := os.ReadDir(h.path("bin"))
	if err != nil {
		h.t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		if e.Name() != "nft" {
			names = append(names, e.Name())
			if err := os.Remove(h.path("bin/" + e.Name())); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	h.mounted(h.path("sbin"), `mount --bind /usr/sbin "$1" && mount -t tmpfs -o mode=0755 tmpfs /usr/sbin &&
ln -s "$1"/* /usr/sbin/ && cd /usr/sbin && rm -f `+strings.Join(names, " "))
}

func TestTargetNFTablesNeedsNoIPTables(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	a := nftFolder(t, "a", "203.0.113.10")
	b := nftFolder(t, "b", "203.0.113.10", "203.0.113.128")
	ipt := iptablesFolder(t)
	h.allowed.Serve("8080/tcp")
	h.withoutIPTables()
	h.expect(h.apply(a, "--dry-run"), 0, "would load")
	h.succeeds(a, nil, "loaded")
	h.requireTable(a)
	h.expect(h.apply(a), 0, "nothing to do")
	h.succeeds(b, notYet, "loaded")
	h.expect(h.rollback(), 0, "rolled back")
	h.requireTable(a)
	h.succeeds(b, notYet, "loaded")
	h.expect(h.confirm(), 0, "confirmed")
	h.expect(h.dockerfw("status"), 0, "in force, exactly as compiled")
	h.expect(h.boot(b), 0, "loaded")
	h.expect(h.apply(ipt), 1, "is not installed", "nothing was changed")
	h.requireTable(b)
	h.requireConnect()
	h.expect(h.remove(), 0, "removed: no dockerfw rules remain")
	h.requireNoTable()
	// The first load, which is not confirmed.
	h.succeeds(a, notYet, "loaded")
	h.expect(h.rollback(), 0, "rolled back")
	h.requireNoTable()
	if err := os.Remove(filepath.Join(a.dir, folder.NFTFile)); err != nil {
		t.Fatal(err)
	}
	h.expect(h.boot(a), 1, "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE")
	h.requireClosedTable()
}

// requireClosedTable fails the test unless no client reaches a container, which reaches the clients.
func (h *nftTarget) requireClosedTable() {
	h.t.Helper()
	for _, n := range []*lab.Node{h.allowed, h.other} {
		if got := n.Connect("tcp", h.container.At(80)); got != lab.TimedOut {
			h.t.Errorf("%s: %s\n%s", n.Name, got, h.table())
		}
	}
	if got := h.container.Connect("tcp", h.allowed.At(8080)); got != lab.Answered {
		h.t.Errorf("the container: %s\n%s", got, h.table())
	}
}

func TestBootLoadsATableOrTheLastOneOrClosesAll(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	h.allowed.Serve("8080/tcp")
	a := nftFolder(t, "a", "203.0.113.10")
	b := nftFolder(t, "b", "203.0.113.10", "203.0.113.128")
	reboot := func() {
		// The process that waits for a confirmation may be starting.
		eventually(t, "nothing is in run", func() bool { return os.RemoveAll(h.path("run")) == nil })
		h.reboot()
		_, _, _ = h.Run("nft", "delete", "table", "inet", "dockerfw")
	}
	h.expect(h.boot(a), 0, "loaded "+a.dir)
	h.requireTable(a)
	h.expect(h.boot(b), 0, "loaded "+b.dir)
	h.requireTable(b)
	reboot()
	broken := a.changed(t, "broken", "@bans ", "@missing ")
	h.expect(h.boot(broken), 0, "CANNOT LOAD "+broken.dir, "loaded "+h.path("state"))
	h.requireTable(b)
	h.requireConnect()
	// An unconfirmed change is not what boots.
	h.succeeds(a, notYet, "loaded")
	reboot()
	h.expect(h.boot(a), 0, "was never confirmed", "loaded "+h.path("state"))
	h.requireTable(b)
	if err := os.RemoveAll(h.path("state")); err != nil {
		t.Fatal(err)
	}
	reboot()
	h.expect(h.boot(broken), 1, "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE")
	h.requireClosedTable()
	if now := h.table(); !strings.Contains(now, `iifname "eth0" drop comment "dockerfw closed"`) {
		t.Errorf("the closed table is\n%s", now)
	}
	h.expect(h.dockerfw("status"), 1, "CLOSED")
	h.env = append(h.env, "DOCKERFW_BOOT_FALLBACK=open")
	h.expect(h.boot(broken), 1, "NOTHING WAS LOADED", "the existing rules remain")
	h.env = h.env[:len(h.env)-1]
	h.succeeds(a, nil, "loaded")
	h.requireTable(a)
	h.requireConnect()
}

// The configuration of nftables.service flushes all tables, and loads the table in the same
// transaction.
func TestAConfigurationOfNFTLoadsTheTableWhereItFlushes(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	a := nftFolder(t, "a", "203.0.113.10")
	h.succeeds(a, nil)
	line := ""
	for l := range strings.Lines(shownFile(t, "/etc/nftables.conf")) {
		if strings.HasPrefix(l, "include ") {
			line = strings.Replace(l, "/etc/dockerfw/", a.dir+"/", 1)
		}
	}
	config := h.path("nftables.conf")
	if err := os.WriteFile(config, []byte("flush ruleset\ntable inet filter {\n}\n"+line), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h.MustRun("nft", "-f", config)
		h.requireTable(a)
		h.expect(h.dockerfw("status"), 0, "in force, exactly as compiled")
	}
	// Without a folder, the rest of the configuration is loaded.
	if err := os.RemoveAll(a.dir); err != nil {
		t.Fatal(err)
	}
	h.MustRun("nft", "-f", config)
	if got := strings.TrimSpace(h.MustRun("nft", "list", "tables")); got != "table inet filter" {
		t.Error(got)
	}
}

func TestCutEndsWhatATableRefuses(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	both := nftFolder(t, "both", "203.0.113.10", "203.0.113.66")
	one := nftFolder(t, "one", "203.0.113.10")
	h.succeeds(both, nil, "loaded")
	stays, ends := h.allowed.OpenSession("tcp", h.container.At(80)), h.other.OpenSession("tcp", h.container.At(80))
	h.succeeds(one, nil, "loaded")
	if got := ends.Ping(); got != lab.Answered {
		t.Fatalf("an open session without --cut: %s", got)
	}
	h.succeeds(one, []string{"--cut"}, "203.0.113.66", "default refuses it", "ended 1 connection")
	if got := ends.Ping(); got == lab.Answered {
		t.Error("the session of the other client goes on")
	}
	if got := stays.Ping(); got != lab.Answered {
		t.Errorf("the session of the allowed client: %s", got)
	}
}

// What apply says about the host does not depend on the target.
func TestAFolderOfTargetNFTablesIsCheckedAgainstTheHost(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	closed := compileFolder(t, "closed", `
host {
  target              = "nftables"
  external_interfaces = ["eth0"]
}
input {
  accept "metrics" {
    protocol = "tcp"
    ports    = [9100]
  }
}
`)
	h.succeeds(closed, nil, "loaded", "no rule accepts port 22/tcp of the host")
	open := compileFolder(t, "missing", strings.Replace(nftPolicy("nftables", "203.0.113.10"), `"eth0"`, `"eth0", "wg7"`, 1))
	h.expect(h.apply(open), 1, "this host has no interface wg7", "--allow-missing-interface", "nothing was changed")
	h.succeeds(open, []string{"--allow-missing-interface"}, "loaded")
	// What is in force is loaded again, also where the record is lost and a chain was flushed.
	if err := os.RemoveAll(h.path("state")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(h.path("run")); err != nil {
		t.Fatal(err)
	}
	h.MustRun("nft", "flush", "chain", "inet", "dockerfw", "dockerfw-in")
	h.succeeds(open, nil, "loaded")
	h.requireTable(open)
}

// nft made rules in the tables of iptables-nft that iptables does not print, as on a host without it.
func TestTargetNFTablesLoadsBesideRulesThatIPTablesCannotPrint(t *testing.T) {
	t.Parallel()
	h := newNFTTarget(t)
	a := nftFolder(t, "a", "203.0.113.10")
	h.MustRun("nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority filter; policy accept; }; add rule ip filter FORWARD ct state vmap { invalid : drop }")
	h.expect(h.apply(iptablesFolder(t)), 1, "nothing was changed")
	h.succeeds(a, nil, "cannot tell whether this host has rules of dockerfw for iptables", "loaded")
	h.requireTable(a)
	h.requireConnect()
	h.expect(h.dockerfw("status"), 0, "in force, exactly as compiled")
	h.expect(h.remove(), 0, "removed")
	h.requireNoTable()
}
