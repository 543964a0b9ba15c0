//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// withPolicy adds Docker's chains to the host and loads a policy.
func (h *target) withPolicy(name string) *deployed {
	h.t.Helper()
	h.addDockerChains(h.backend)
	p := deployPolicy(h.t, name)
	h.succeeds(p, nil)
	return p
}

// mounted makes scripts run with a mount on a folder.
func (h *target) mounted(dir, command string) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.prefix = []string{"unshare", "-m", "sh", "-c", fmt.Sprintf(`%s && shift && exec "$@"`, command), "sh", dir}
}

func TestAFullDiskChangesNothing(t *testing.T) {
	onBackends(t, func(h *target) {
		old := h.withPolicy("a list of sets")
		b := deployPolicy(h.t, "single addresses")
		for _, dir := range selected(h.t, 2, h.backend, []string{"run", "state"}) {
			failed := 0
			// Each size makes another write fail.
			for size := 4; ; size += 4 + size/2 {
				// The folder keeps its files, which do not count for the size.
				h.mounted(h.path(dir), fmt.Sprintf(`cp -R "$1" "$1.kept" && size=$(($(du -sk "$1" | cut -f1) + %d)) &&
mount -t tmpfs -o size=${size}k tmpfs "$1" && cp -R "$1.kept/." "$1" && rm -rf "$1.kept"`, size))
				before := h.saved()
				out := h.apply(b)
				h.prefix = nil
				if out.code == 0 {
					h.requireLoaded(b)
					break
				}
				failed++
				h.expect(out, 1, "apply.sh: ")
				h.requireUnchanged(before)
				h.requireNoLeftovers()
				if h.t.Failed() {
					h.t.Fatalf("with %d kB for %s:\n%s", size, dir, out.text)
				}
			}
			if failed < 2 {
				h.t.Errorf("%s was full in %d runs only", dir, failed)
			}
			h.succeeds(old, nil)
		}
	})
}

func TestReadOnlyStateIsRefusedAndAReadOnlyPolicyFolderLoads(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	a := h.withPolicy("clients")
	b := deployPolicy(t, "a jump")
	for _, dir := range []string{"run", "state"} {
		h.mounted(h.path(dir), `mount -t tmpfs -o ro tmpfs "$1"`)
		h.refuses(b, 1, nil, "cannot write to", h.path(dir), "nothing was changed")
	}
	h.mounted(b.dir, `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"`)
	h.succeeds(b, nil, "loaded")
	h.prefix = nil
	h.requireLoaded(b)
	h.succeeds(a, nil, "loaded")
}

func TestAMissingToolIsReported(t *testing.T) {
	onOneBackend(t, lab.NFT, func(h *target) {
		h.withPolicy("clients")
		b := deployPolicy(h.t, "a jump")
		hide := func(tool string, args ...string) {
			h.t.Helper()
			path := h.path("bin/" + tool)
			real, err := os.Readlink(path)
			if err == nil {
				err = os.Remove(path)
			}
			if err != nil {
				h.t.Fatal(err)
			}
			h.refuses(b, 1, args, tool+" is missing", "nothing was changed")
			if err := os.Symlink(real, path); err != nil {
				h.t.Fatal(err)
			}
		}
		for _, tool := range strings.Fields("awk sed grep sort comm sha256sum flock ipset iptables iptables-save iptables-restore") {
			hide(tool)
		}
		for _, family := range []int{4, 6} {
			hide(h.backend.Tool(family, "-restore"))
		}
		hide("conntrack", "--cut")
		hide("ip", "--cut")
		hide("setsid", "--confirm", "5")
		h.succeeds(b, nil)
	})
}

func TestTheBackendIsTheOneThatDockerUses(t *testing.T) {
	t.Parallel()
	p := deployPolicy(t, "clients")
	h := newTarget(t, lab.Legacy)
	h.setDefault(lab.NFT)
	h.addDockerChains(lab.Legacy)
	h.refuses(p, 1, []string{"--backend", "nft"}, "Docker's chains in iptables-legacy, not in iptables-nft", "nothing was changed")
	h.succeeds(p, nil, "iptables is iptables-nft on this host, but Docker's rules are in iptables-legacy: using iptables-legacy")
	h.requireLoaded(p)
	h.addDockerChains(lab.NFT)
	h.refuses(p, 1, nil, "in both iptables-nft and iptables-legacy", "--backend")
	h.succeeds(p, []string{"--backend", "legacy"}, "nothing to do")
}

func TestASetInForeignRulesIsSwappedOrLeftAlone(t *testing.T) {
	onOneBackend(t, lab.Legacy, func(h *target) {
		a := h.withPolicy("clients")
		h.rule(4, "-A", "OUTPUT", "-m", "set", "--match-set", "clients", "dst", "-j", "ACCEPT")
		b := deployPolicy(h.t, "other clients, rechecked")
		h.succeeds(b, nil, "loaded")
		h.requireLoaded(b)
		h.refuses(deployPolicy(h.t, "single addresses"), 1, nil, "rolled back to the previous rules and sets")
		h.requireLoaded(b)
		h.succeeds(a, nil, "loaded")
		h.requireLoaded(a)
	})
}

func TestAHeldXtablesLockIsWaitedForAndReported(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.Legacy)
	h.withPolicy("clients")
	path := strings.TrimSpace(h.MustRun("sh", "-c", "echo $XTABLES_LOCKFILE"))
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	h.refuses(deployPolicy(t, "a jump"), 1, nil, "holding the xtables lock", "nothing was changed")
}

func TestAModifiedFolderIsRefused(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.withPolicy("clients")
	for file, words := range map[string]string{
		"iptables.restore": "iptables.restore: FAILED",
		"ipset.restore":    "ipset.restore: FAILED",
		"remove.sh":        "remove.sh: FAILED",
	} {
		b := deployPolicy(t, "a jump")
		text, err := os.ReadFile(filepath.Join(b.dir, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(b.dir, file), append(text, '\n'), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		h.refuses(b, 1, nil, "was changed after it was compiled", words, "nothing was changed")
		if err := os.Remove(filepath.Join(b.dir, "manifest.json")); err != nil {
			t.Fatal(err)
		}
		h.refuses(b, 1, nil, "it is not a compiled folder", "nothing was changed")
	}
}

func TestAnUnsupportedSetTypeIsReportedBeforeAnyChange(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.withPolicy("clients")
	h.wrap("ipset", `[ "$1" = restore ] || exec "$real" "$@"
text=$(cat)
case $text in *" hash:ip "*) echo "ipset: Kernel error received: set type not supported" >&2; exit 1 ;; esac
printf '%s\n' "$text" | "$real" restore`)
	h.refuses(deployPolicy(t, "single addresses"), 1, nil, "this host cannot load the IPv4 rules", "set type not supported", "nothing was changed")
	h.succeeds(deployPolicy(t, "a list of sets"), nil, "loaded")
}

func TestAFailureForIPv6RollsBackIPv4Too(t *testing.T) {
	onBackends(t, func(h *target) {
		h.withPolicy("a list of sets")
		for _, name := range selected(h.t, 2, h.backend, []string{"single addresses", "a jump", "inserted", "other clients, rechecked"}) {
			b := deployPolicy(h.t, name)
			// The test in a namespace has no -w.
			h.wrap(h.backend.Tool(6, "-restore"), `[ "$1" != -w ] || [ -e `+h.path("failed")+` ] || { : >`+h.path("failed")+`; echo "ip6tables-restore: failed on purpose" >&2; exit 1; }
exec "$real" "$@"`)
			h.refuses(b, 1, nil, "failed on purpose", "rolled back to the previous rules and sets")
			if err := os.Remove(h.path("failed")); err != nil {
				h.t.Fatal(err)
			}
			real, err := exec.LookPath("/usr/sbin/" + h.backend.Tool(6, "-restore"))
			if err != nil {
				h.t.Fatal(err)
			}
			h.unwrap(h.backend.Tool(6, "-restore"), real)
		}
	})
}

// In each run another call of a tool fails.
func TestAFailureOfAnyCallRestoresTheOldState(t *testing.T) {
	onBackends(t, func(h *target) {
		old := h.withPolicy("a list of sets")
		b := deployPolicy(h.t, "a shorter list")
		for _, call := range selected(h.t, 2, h.backend, [][2]string{
			{"ipset", "restore"},
			{h.backend.Tool(4, "-restore"), "-w"},
			{h.backend.Tool(6, "-restore"), "-w"},
			{h.backend.Tool(4, "-save"), "-t"},
			{"ipset", "save"},
		}) {
			tool, args := call[0], call[1]
			count, at := h.path("count"), h.path("at")
			real, err := os.Readlink(h.path("bin/" + tool))
			if err != nil {
				h.t.Fatal(err)
			}
			h.wrap(tool, fmt.Sprintf(`[ "$1" = %s ] || exec "$real" "$@"
read -r n <%s
n=$((n + 1))
echo $n >%s
read -r at <%s
[ $n != "$at" ] || { echo "%s: failed on purpose" >&2; exit 1; }
exec "$real" "$@"`, args, count, count, at, tool))
			for n, every := selection(h.t, 6, h.backend); ; n += every {
				if err := os.WriteFile(at, fmt.Appendf(nil, "%d\n", n), 0o600); err != nil {
					h.t.Fatal(err)
				}
				if err := os.WriteFile(count, []byte("0\n"), 0o600); err != nil {
					h.t.Fatal(err)
				}
				before := h.saved()
				out := h.apply(b)
				if calls, err := strconv.Atoi(strings.TrimSpace(readOr(h.t, count, ""))); err != nil {
					h.t.Fatal(err)
				} else if out.code == 0 {
					h.requireLoaded(b)
					if calls < n {
						break
					}
					// The call was not needed.
					h.succeeds(old, nil)
					continue
				}
				want := "failed on purpose"
				if strings.HasSuffix(tool, "-save") && !strings.Contains(out.text, want) {
					// A failure to read the security table counts as a kernel without one, until the
					// result differs from the folder.
					want = "rolled back to the previous rules and sets"
				}
				h.expect(out, 1, want)
				h.requireUnchanged(before)
				h.requireNoLeftovers()
				if h.t.Failed() {
					h.t.Fatalf("%s %s failed in call %d:\n%s", tool, args, n, out.text)
				}
			}
			h.unwrap(tool, real)
			h.succeeds(old, nil)
		}
	})
}

func (h *target) rule(family int, args ...string) {
	h.t.Helper()
	if err := h.IPTables(h.backend, family, args...); err != nil {
		h.t.Fatal(err)
	}
}

// A foreign set may have one of the names that dockerfw uses for new sets.
func TestForeignSetsWithReservedNamesAreLeftAlone(t *testing.T) {
	onOneBackend(t, lab.Legacy, func(h *target) {
		a := h.withPolicy("clients")
		if err := h.IPSetRestore("create clients-new hash:net\n"); err != nil {
			h.t.Fatal(err)
		}
		h.expect(h.apply(deployPolicy(h.t, "a jump")), 1, "set clients-new exists and was not created by dockerfw", "nothing was changed")
		if err := h.IPSetRestore("destroy clients-new\ncreate clients-alt hash:net\nadd clients-alt 10.0.0.0/8\n"); err != nil {
			h.t.Fatal(err)
		}
		h.rule(4, "-A", "OUTPUT", "-m", "set", "--match-set", "clients-alt", "dst", "-j", "ACCEPT")
		before := h.saved()
		for _, name := range []string{"clients", "a jump"} {
			h.expect(h.apply(deployPolicy(h.t, name)), 1, "set clients-alt exists and was not created by dockerfw", "nothing was changed")
			h.requireUnchanged(before)
		}
		// At boot, a foreign set that is not in use is destroyed.
		h.rule(4, "-F", "OUTPUT")
		h.succeeds(a, []string{"--boot"}, "loaded")
		h.requireLoaded(a)
		h.requireNoLeftovers()
	})
}

func TestAnUnmanagedSetSurvivesAPolicyWithoutIt(t *testing.T) {
	onOneBackend(t, lab.NFT, func(h *target) {
		if err := h.IPSetRestore("create clients hash:net\nadd clients 203.0.113.0/24\ncreate clients-v6 hash:net family inet6\n"); err != nil {
			h.t.Fatal(err)
		}
		before := h.sets()
		h.withPolicy("an unmanaged set")
		without := compileFolder(h.t, "without sets", "host { external_interfaces = [\"eth0\"] }\n")
		h.unmanaged["clients"], h.unmanaged["clients-v6"] = true, true
		h.succeeds(without, nil, "loaded")
		h.requireLoaded(without)
		h.expect(h.script(filepath.Join(without.dir, "remove.sh")), 0)
		if after := h.sets(); after != before {
			h.t.Errorf("the foreign sets were\n%s\nand are\n%s", before, after)
		}
	})
}

// iptables-nft-save prints no rule of a table that has an unknown rule, and exits with 0.
func TestATableThatIptablesCannotPrintIsLeftAlone(t *testing.T) {
	t.Parallel()
	lab.Require(t, "nft")
	h := newTarget(t, lab.NFT)
	a := h.withPolicy("clients")
	h.MustRun("nft", "add", "rule", "ip", "filter", "FORWARD", "ct", "mark", "set", "5", "fib", "daddr", "type", "local")
	before := h.MustRun("nft", "list", "ruleset")
	if out := h.IPTablesSave(lab.NFT, 4, "filter"); !strings.Contains(out, "incompatible") {
		t.Fatal("iptables can print the table:", out)
	}
	for _, p := range []*deployed{a, deployPolicy(t, "a jump")} {
		h.expect(h.apply(p), 1, "cannot print the tables", "nothing was changed")
	}
	h.expect(h.script(filepath.Join(a.dir, "remove.sh")), 1, "cannot print the tables", "the rules were not removed")
	if after := h.MustRun("nft", "list", "ruleset"); after != before {
		t.Errorf("the ruleset was\n%s\nand is\n%s", before, after)
	}
}

// Another tool may flush the filter table and leave the security table.
func TestARemovedFamilyIsRemovedFromTheSecurityTableToo(t *testing.T) {
	onBackends(t, func(h *target) {
		h.withPolicy("clients")
		h.rule(6, "-F")
		h.rule(6, "-X", "DOCKERFW-INPUT")
		h.rule(6, "-X", "DOCKERFW-PROXY")
		one := deployPolicy(h.t, "egress, without IPv6")
		h.succeeds(one, nil, "loaded")
		h.requireLoaded(one)
		if text := h.IPTablesSave(h.backend, 6, "security"); strings.Contains(text, "DOCKERFW") {
			h.t.Errorf("IPv6 rules are left:\n%s", text)
		}
	})
}

func TestANomatchElementIsADifference(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	a := h.withPolicy("clients")
	h.MustRun("ipset", "flush", "clients")
	h.MustRun("ipset", "add", "clients", "192.0.2.10", "nomatch")
	h.succeeds(a, nil, "loaded")
	h.requireLoaded(a)
	if text := h.sets(); strings.Contains(text, "nomatch") {
		t.Error(text)
	}
}

func TestCDPATHDoesNotChangeTheFolder(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.addDockerChains(h.backend)
	p := deployPolicy(t, "clients")
	base, name := filepath.Split(p.dir)
	if err := os.MkdirAll(h.path("elsewhere/"+name), 0o755); err != nil {
		t.Fatal(err)
	}
	h.prefix = []string{"sh", "-c", fmt.Sprintf(`cd %q && exec "$@"`, base), "sh"}
	h.env = append(h.env, "CDPATH="+h.path("elsewhere"))
	h.expect(h.script(filepath.Join(name, "apply.sh")), 0, "loaded")
	h.prefix = nil
	h.requireLoaded(p)
}

// A boot before Docker has ever run may load the rules into the other backend. The next run
// moves them to the one that Docker uses.
func TestRulesMoveToTheBackendThatDockerUses(t *testing.T) {
	onBackends(t, func(h *target) {
		other := lab.Backends[0]
		if other == h.backend {
			other = lab.Backends[1]
		}
		h.setDefault(other)
		ours := func(b lab.Backend) (n int) {
			for _, f := range []int{4, 6} {
				for _, table := range []string{"filter", "security"} {
					n += strings.Count(h.IPTablesSave(b, f, table), "dockerfw ")
				}
			}
			return n
		}
		p := deployPolicy(h.t, "a list of sets")
		h.succeeds(p, []string{"--boot"}, "loaded")
		if ours(other) == 0 {
			h.t.Fatal("boot did not load the rules into the default backend")
		}
		h.addDockerChains(h.backend)
		h.succeeds(p, []string{"--dry-run"}, "dockerfw rules are in iptables-"+string(other))
		h.succeeds(p, nil, "loaded")
		h.requireLoaded(p)
		if n := ours(other); n > 0 {
			h.t.Errorf("%d rules are left in iptables-%s", n, other)
		}
		h.succeeds(p, nil, "nothing to do")

		// The next boot uses the right backend.
		h.flush(other)
		h.reboot()
		h.succeeds(p, []string{"--boot"}, "loaded")
		h.requireLoaded(p)
		if n := ours(other); n > 0 {
			h.t.Errorf("boot put %d rules into iptables-%s", n, other)
		}

		// With Docker's chains in both, boot uses the last one.
		h.reboot()
		h.addDockerChains(other)
		h.addDockerChains(h.backend)
		h.succeeds(p, []string{"--boot"}, "loaded")
		h.requireLoaded(p)
		h.expect(h.script(filepath.Join(p.dir, "remove.sh")), 0, "no dockerfw rules remain")
		if n := ours(h.backend) + ours(other); n > 0 {
			h.t.Errorf("remove.sh left %d rules", n)
		}
	})
}

func TestRemoveLeavesForeignSetsAlone(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.addDockerChains(h.backend)
	if err := h.IPSetRestore("create clients hash:net\nadd clients 203.0.113.0/24\n"); err != nil {
		t.Fatal(err)
	}
	p := deployPolicy(t, "clients")
	before := h.saved()
	h.expect(h.apply(p), 1, "set clients exists and was not created by dockerfw")
	h.expect(h.script(filepath.Join(p.dir, "remove.sh")), 0)
	h.requireUnchanged(before)
}
