//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// mounted makes dockerfw run with a mount on a folder.
func (h *target) mounted(dir, command string) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.prefix = []string{"unshare", "-m", "sh", "-c", fmt.Sprintf(`%s && shift && exec "$@"`, command), "sh", dir}
}

// What a tool could not read is no difference.
func TestStatusReportsAToolThatFails(t *testing.T) {
	onBackends(t, func(h *target) {
		h.withPolicy("a list of sets")
		h.expect(h.dockerfw("status"), 0, "in force, exactly as compiled")
		for _, tool := range []string{"ipset", h.backend.Tool(4, "-save"), h.backend.Tool(6, "-save")} {
			real, err := os.Readlink(h.path("bin/" + tool))
			if err != nil {
				h.t.Fatal(err)
			}
			h.wrap(tool, "echo broken module >&2; exit 1")
			out := h.dockerfw("status")
			h.unwrap(tool, real)
			h.expect(out, 2, "broken module")
			if strings.Contains(out.text, "DIFFERENT") || strings.Contains(out.text, "NOT LOADED") {
				h.t.Errorf("%s fails:\n%s", tool, out.text)
			}
		}
	})
}

func TestAFullDiskChangesNothing(t *testing.T) {
	onBackends(t, func(h *target) {
		old := h.withPolicy("a list of sets")
		b := deployPolicy(h.t, "single addresses")
		for _, dir := range []string{"run", "state"} {
			failed := 0
			// Each size makes another write fail.
			for size := 4; ; size += 4 + size/2 {
				// The folder keeps its files, which do not count for the size.
				h.mounted(h.path(dir), fmt.Sprintf(`cp -R "$1" "$1.kept" && size=$(($(du -sk "$1" | cut -f1) + %d)) &&
mount -t tmpfs -o size=${size}k,mode=0755 tmpfs "$1" && cp -R "$1.kept/." "$1" && rm -rf "$1.kept"`, size))
				before := h.saved()
				out := h.apply(b)
				h.prefix = nil
				if out.code == 0 {
					h.requireLoaded(b)
					break
				}
				failed++
				h.expect(out, 1, "cannot write to "+h.path(dir), "nothing was changed")
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
		h.mounted(h.path(dir), `mount -t tmpfs -o ro,mode=0755 tmpfs "$1"`)
		h.refuses(b, 1, nil, "cannot write to", h.path(dir), "nothing was changed")
	}
	h.mounted(b.dir, `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"`)
	h.succeeds(b, nil, "loaded")
	h.prefix = nil
	h.requireLoaded(b)
	h.succeeds(a, nil, "loaded")
}

// Of the tools of this machine, dockerfw would find those in /usr/sbin as well: it runs with a
// folder there that does not have the tool.
func TestAMissingToolIsReported(t *testing.T) {
	onBackends(t, func(h *target) {
		h.withPolicy("clients")
		b := deployPolicy(h.t, "a jump")
		without := func(tools ...string) {
			h.t.Helper()
			for _, tool := range tools {
				real, err := os.Readlink(h.path("bin/" + tool))
				if err == nil {
					err = os.Remove(h.path("bin/" + tool))
				}
				if err != nil {
					h.t.Fatal(err)
				}
				defer func() {
					if err := os.Symlink(real, h.path("bin/"+tool)); err != nil {
						h.t.Error(err)
					}
				}()
			}
			h.mounted(h.path("sbin"), `mount --bind /usr/sbin "$1" && mount -t tmpfs -o mode=0755 tmpfs /usr/sbin &&
ln -s "$1"/* /usr/sbin/ && cd /usr/sbin && rm `+strings.Join(tools, " "))
			h.refuses(b, 1, nil, tools[0]+" is not installed", "nothing was changed")
			h.prefix = nil
		}
		without("ipset")
		for _, family := range []int{4, 6} {
			for _, suffix := range []string{"-save", "-restore"} {
				kind := h.backend.Tool(family, suffix)
				without(strings.Replace(kind, "-"+string(h.backend), "", 1), kind)
			}
		}
		h.succeeds(b, nil)
	})
}

func TestTheBackendIsTheOneThatDockerUses(t *testing.T) {
	t.Parallel()
	p := deployPolicy(t, "clients")
	h := newTarget(t, lab.Legacy)
	h.setDefault(lab.NFT)
	h.addDockerChains(lab.Legacy)
	h.refuses(p, 1, []string{"--backend", "nft"}, "Docker's chains are in iptables-legacy, not in iptables-nft", "nothing was changed")
	h.succeeds(p, nil, "iptables is iptables-nft on this host, but Docker's rules are in iptables-legacy: using iptables-legacy")
	h.requireLoaded(p)
	h.addDockerChains(lab.NFT)
	h.refuses(p, 1, nil, "in both iptables-nft and iptables-legacy", "--backend")
	h.succeeds(p, []string{"--backend", "legacy"}, "nothing to do")
}

func TestAModifiedFolderIsRefused(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.withPolicy("clients")
	for file, words := range map[string]string{
		"iptables.restore": "iptables.restore",
		"ipset.restore":    "ipset.restore",
		"ipset.remove":     "ipset.remove",
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
text=$(/bin/cat)
case $text in *" hash:ip "*) echo "ipset: Kernel error received: set type not supported" >&2; exit 1 ;; esac
printf '%s\n' "$text" | "$real" restore`)
	h.refuses(deployPolicy(t, "single addresses"), 1, nil, "this host cannot load the sets", "set type not supported", "nothing was changed")
	h.succeeds(deployPolicy(t, "a list of sets"), nil, "loaded")
}

func TestAFailureForIPv6RollsBackIPv4Too(t *testing.T) {
	onBackends(t, func(h *target) {
		h.withPolicy("a list of sets")
		c := newCalls(h)
		for _, name := range []string{"single addresses", "a jump", "inserted", "other clients, rechecked"} {
			b := deployPolicy(h.t, name)
			h.leavesAlone(func() outcome {
				// The test in a namespace has no -w.
				out, _, hit := c.with(fault{n: 1, when: "before", action: "fail", pattern: "ip6tables*-restore -w*"}, func() outcome { return h.apply(b) })
				if !hit {
					h.t.Error("no IPv6 rules were loaded")
				}
				return out
			}, 1, failure, "rolled back to the previous rules and sets")
		}
	})
}

// In each run another call of a tool fails, before or after it has done its work. Calls that the
// result does not depend on may fail: then the policy is in force.
func TestAFailureOfAnyCallRestoresTheOldState(t *testing.T) {
	t.Parallel()
	for i, pair := range [][2]string{{"a list of sets", "a shorter list"}, {"single addresses", "a jump"}} {
		for _, backend := range lab.Backends {
			t.Run(fmt.Sprintf("%s, %s to %s", backend, pair[0], pair[1]), func(t *testing.T) {
				t.Parallel()
				h := newTarget(t, backend)
				old, b := h.withPolicy(pair[0]), deployPolicy(t, pair[1])
				failed, c := 0, newCalls(h)
				_, tested := c.each(5, 2*i+onBackend(backend), func(n int, when string) bool {
					before := h.saved()
					out, made, hit := c.with(fault{n: n, when: when, action: "fail"}, func() outcome { return h.apply(b) })
					what := fmt.Sprintf("a failure %s call %d", when, n)
					if hit {
						what += " (" + made[n-1] + ")"
					}
					if out.code == 0 {
						h.requireLoaded(b)
						h.succeeds(old, nil)
					} else {
						failed++
						h.expect(out, 1, failure)
						h.requireUnchanged(before)
						h.requireNoLeftovers()
					}
					if h.t.Failed() {
						h.t.Fatalf("after %s:\n%s", what, out.text)
					}
					if hit && out.code == 0 {
						h.t.Logf("loaded in spite of %s", what)
					}
					return hit
				})
				if 2*failed < tested {
					h.t.Errorf("only %d of %d failures were reported", failed, tested)
				}
			})
		}
	}
}

// A failure to remove is reported, and the next removal completes it.
func TestAFailureOfAnyCallOfARemovalIsReported(t *testing.T) {
	onBackends(t, func(h *target) {
		p := h.withPolicy("a list of sets")
		c := newCalls(h)
		c.each(3, onBackend(h.backend), func(n int, when string) bool {
			out, made, hit := c.with(fault{n: n, when: when, action: "fail"}, h.remove)
			what := fmt.Sprintf("a failure %s call %d", when, n)
			if hit {
				what += " (" + made[n-1] + ")"
			}
			if out.code != 0 {
				h.expect(out, 1, failure)
				h.expect(h.remove(), 0)
			}
			for _, f := range []int{4, 6} {
				for _, table := range []string{"filter", "security"} {
					if text := h.IPTablesSave(h.backend, f, table); strings.Contains(strings.ToLower(text), "dockerfw") {
						h.t.Errorf("%s: IPv%d rules remain:\n%s", what, f, text)
					}
				}
			}
			if sets := h.setNames(); len(sets) > 0 && out.code == 0 && when == "before" {
				h.expect(out, 0, "were not destroyed")
				h.expect(h.remove(), 0)
			}
			if sets := h.setNames(); len(sets) > 0 {
				h.t.Errorf("%s: sets remain: %s", what, sets)
			}
			if h.t.Failed() {
				h.t.Fatalf("%s:\n%s", what, out.text)
			}
			h.succeeds(p, nil)
			return hit
		})
	})
}

// The rules in the tables that Docker does not use are those in force until the others are.
func TestAFailureToMoveToTheOtherTablesChangesNothing(t *testing.T) {
	onBackends(t, func(h *target) {
		other := otherBackend(h.backend)
		h.setDefault(other)
		p := deployPolicy(h.t, "a list of sets")
		h.expect(h.boot(p), 0, "loaded")
		h.addDockerChains(h.backend)
		c := newCalls(h)
		loaded := 0
		c.each(3, onBackend(h.backend), func(n int, when string) bool {
			before := [2]string{h.saved(), h.IPTablesSave(other, 4, "filter") + h.IPTablesSave(other, 6, "filter")}
			out, made, hit := c.with(fault{n: n, when: when, action: "fail"}, func() outcome { return h.apply(p) })
			if out.code == 0 {
				loaded++
				h.requireLoaded(p)
				h.expect(h.remove(), 0)
				h.reboot()
				h.flush(other)
				if err := os.Remove(h.path("state/backend")); err != nil && !os.IsNotExist(err) {
					h.t.Fatal(err)
				}
				h.expect(h.boot(p), 0, "loaded")
				h.addDockerChains(h.backend)
				return hit
			}
			h.expect(out, 1, failure)
			h.requireUnchanged(before[0])
			if after := h.IPTablesSave(other, 4, "filter") + h.IPTablesSave(other, 6, "filter"); withoutNoise(after) != withoutNoise(before[1]) {
				h.t.Errorf("a failure %s call %d (%s): the other tables were\n%s\nand are\n%s", when, n, made[n-1], before[1], after)
			}
			return hit
		})
		if loaded == 0 {
			h.t.Error("no run without a failure")
		}
	})
}

func TestAFailureOfAnyCallAtBootLoadsOrCloses(t *testing.T) {
	onBackends(t, func(h *target) {
		p := deployPolicy(h.t, "a list of sets")
		h.succeeds(p, nil)
		h.reboot()
		c := newCalls(h)
		c.each(3, onBackend(h.backend), func(n int, when string) bool {
			out, made, hit := c.with(fault{n: n, when: when, action: "fail"}, func() outcome { return h.boot(p) })
			what := fmt.Sprintf("a failure %s call %d", when, n)
			if hit {
				what += " (" + made[n-1] + ")"
			}
			if out.code == 0 {
				h.requireLoaded(p)
			} else {
				h.expect(out, 1, failure, "CLOSE")
				h.requireClosed(what)
			}
			if h.t.Failed() {
				h.t.Fatalf("%s:\n%s", what, out.text)
			}
			h.expect(h.boot(p), 0, "loaded")
			h.requireLoaded(p)
			h.reboot()
			return hit
		})
	})
}

func TestTheFolderOfAFleetIsRefused(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.withPolicy("clients")
	p := compileFolder(t, "a fleet", `
host "web-1" { external_interfaces = ["eth0"] }
host "web-2" { external_interfaces = ["eth0"] }
`)
	h.refuses(p, 1, nil, "has a folder for each host", filepath.Join(p.dir, "web-1"), filepath.Join(p.dir, "web-2"), "nothing was changed")
	h.succeeds(&deployed{"web-1", filepath.Join(p.dir, "web-1")}, nil, "loaded")
}

// A legacy kernel may lack the security table.
func TestAKernelWithoutTheSecurityTableHasNoFallbackRules(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.Legacy)
	h.addDockerChains(h.backend)
	for _, family := range []int{4, 6} {
		h.wrap(h.backend.Tool(family, "-save"), `[ "$1 $2" != "-t security" ] || { echo "iptables-save v1.8.9 (legacy): Cannot initialize: Table does not exist (do you need to insmod?)" >&2; exit 1; }
exec "$real" "$@"`)
	}
	p := deployPolicy(t, "clients")
	h.succeeds(p, nil, "loaded")
	h.succeeds(p, nil, "nothing to do")
	for _, family := range []int{4, 6} {
		real, err := exec.LookPath("/usr/sbin/" + h.backend.Tool(family, "-save"))
		if err != nil {
			t.Fatal(err)
		}
		h.unwrap(h.backend.Tool(family, "-save"), real)
	}
	if text := h.saved(); strings.Contains(text, "security -A") {
		t.Error(text)
	}
	// A newer kernel has it.
	h.succeeds(p, nil, "loaded")
	h.requireLoaded(p)
}

func (h *target) rule(family int, args ...string) {
	h.t.Helper()
	if err := h.IPTables(h.backend, family, args...); err != nil {
		h.t.Fatal(err)
	}
}
