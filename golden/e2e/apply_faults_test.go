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
