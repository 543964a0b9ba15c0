//go:build linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

func TestASetInForeignRulesIsSwappedOrLeftAlone(t *testing.T) {
	onBackends(t, func(h *target) {
		a := h.withPolicy("clients")
		h.rule(4, "-A", "OUTPUT", "-m", "set", "--match-set", "clients", "dst", "-j", "ACCEPT")
		b := deployPolicy(h.t, "other clients, rechecked")
		h.succeeds(b, nil, "loaded")
		h.requireLoaded(b)
		h.refuses(deployPolicy(h.t, "single addresses"), 1, nil, "set clients is used by a rule that dockerfw did not create", "nothing was changed")
		h.requireLoaded(b)
		h.succeeds(a, nil, "loaded")
		h.requireLoaded(a)
	})
}

// A foreign set may have one of the names that dockerfw uses for new sets.
func TestForeignSetsWithReservedNamesAreLeftAlone(t *testing.T) {
	onBackends(t, func(h *target) {
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
		h.expect(h.boot(a), 0, "loaded")
		h.requireLoaded(a)
		h.requireNoLeftovers()
	})
}

func TestAnUnmanagedSetSurvivesAPolicyWithoutIt(t *testing.T) {
	onBackends(t, func(h *target) {
		if err := h.IPSetRestore("create clients hash:net\nadd clients 203.0.113.0/24\ncreate clients-v6 hash:net family inet6\n"); err != nil {
			h.t.Fatal(err)
		}
		before := h.sets()
		h.withPolicy("an unmanaged set")
		without := compileFolder(h.t, "without sets", "host { external_interfaces = [\"eth0\"] }\n")
		h.unmanaged["clients"], h.unmanaged["clients-v6"] = true, true
		h.succeeds(without, nil, "loaded")
		h.requireLoaded(without)
		h.expect(h.remove(), 0)
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
		h.expect(h.apply(p), 1, "has a rule of nft that iptables does not support", "nothing was changed")
	}
	h.expect(h.remove(), 1, "has a rule of nft that iptables does not support", "nothing was changed")
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

// A boot before Docker has ever run may load the rules into the other backend. The next run
// moves them to the one that Docker uses.
func TestRulesMoveToTheBackendThatDockerUses(t *testing.T) {
	onBackends(t, func(h *target) {
		other := otherBackend(h.backend)
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
		h.expect(h.boot(p), 0, "loaded")
		if ours(other) == 0 {
			h.t.Fatal("boot did not load the rules into the default backend")
		}
		h.addDockerChains(h.backend)
		h.succeeds(p, []string{"--dry-run"}, "remove the rules of dockerfw from the tables that Docker does not use")
		h.succeeds(p, nil, "loaded")
		h.requireLoaded(p)
		if n := ours(other); n > 0 {
			h.t.Errorf("%d rules are left in iptables-%s", n, other)
		}
		h.succeeds(p, nil, "nothing to do")

		// The next boot uses the right backend.
		h.flush(other)
		h.reboot()
		h.expect(h.boot(p), 0, "loaded")
		h.requireLoaded(p)
		if n := ours(other); n > 0 {
			h.t.Errorf("boot put %d rules into iptables-%s", n, other)
		}

		// With Docker's chains in both, boot uses the last one.
		h.reboot()
		h.addDockerChains(other)
		h.addDockerChains(h.backend)
		h.expect(h.boot(p), 0, "loaded")
		h.requireLoaded(p)
		h.expect(h.remove(), 0, "no dockerfw rules remain")
		if n := ours(h.backend) + ours(other); n > 0 {
			h.t.Errorf("dockerfw remove left %d rules", n)
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
	h.expect(h.remove(), 0)
	h.requireUnchanged(before)
}

// firewalld, for example, deletes all rules some time after it was asked to reload.
func TestWhatAnotherProgramChangesMeanwhileIsLoadedAgain(t *testing.T) {
	onBackends(t, func(h *target) {
		h.addDockerChains(h.backend)
		// A policy without sets is loaded in one step.
		a := compileFolder(h.t, "closed", "host { external_interfaces = [\"eth0\"] }\n")
		b := compileFolder(h.t, "open", "host { external_interfaces = [\"eth0\"] }\naccept \"all\" {}\n")
		h.succeeds(a, nil)
		const changed = "another program changed the host meanwhile, loading again: IPv4 FORWARD: add the jump to DOCKER-USER"
		left := h.deleteJumpAfterLoads()
		left(1)
		h.succeeds(b, nil, changed, "loaded")
		h.requireLoaded(b)
		h.requireNoLeftovers()

		left(3)
		before := h.saved()
		h.expect(h.apply(a), 1, changed, "the host still differs after loading 3 times: IPv4 FORWARD: add the jump to DOCKER-USER", "rolled back to the previous rules and sets")
		h.requireUnchanged(before)
		h.requireNoLeftovers()
	})
}

// deleteJumpAfterLoads makes another program delete the jump after each of the next n loads.
func (h *target) deleteJumpAfterLoads() (next func(n int)) {
	tool, left := h.backend.Tool(4, "-restore"), h.path("loads")
	// A rehearsal does not wait for the lock.
	h.wrap(tool, fmt.Sprintf(`"$real" "$@" || exit
[ "$1" = -w ] && [ -s %[1]q ] || exit 0
/bin/sed -i 1d %[1]q
%[2]s -D FORWARD -j DOCKER-USER`, left, h.path("bin/"+h.backend.Tool(4, ""))))
	return func(n int) {
		if err := os.WriteFile(left, []byte(strings.Repeat("\n", n)), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
}
