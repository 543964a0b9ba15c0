//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/verify"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/golden/lab"
)

// target is a host to deploy to: a network namespace with the tools and folders that dockerfw
// uses.
type target struct {
	*lab.Namespace
	t       *testing.T
	backend lab.Backend
	// dir contains the folders bin, which is the PATH, run and state.
	dir string
	env []string
	// prefix is a command that runs dockerfw, for example after a mount.
	prefix []string
	// unmanaged are unmanaged sets of earlier policies: they stay when a policy is replaced.
	unmanaged map[string]bool
}

func newTarget(t *testing.T, backend lab.Backend) *target {
	t.Helper()
	lab.Require(t, "iptables-nft", "iptables-legacy", "ipset", "nft")
	ns := lab.NewNamespace(t, "dfw-target")
	// The interfaces that the policies of these tests list.
	ns.MustRun("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wg0")
	return targetIn(t, backend, ns)
}

// targetIn makes a host of an existing namespace.
func targetIn(t *testing.T, backend lab.Backend, ns *lab.Namespace) *target {
	t.Helper()
	h := &target{Namespace: ns, t: t, backend: backend, dir: t.TempDir(), unmanaged: map[string]bool{}}
	h.env = []string{"PATH=" + h.path("bin"), "DOCKERFW_RUN=" + h.path("run"), "DOCKERFW_STATE=" + h.path("state")}
	if err := os.Mkdir(h.path("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.link("ipset", "ipset")
	h.link("nft", "nft")
	for _, tool := range []string{"iptables", "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			h.link(tool+"-nft"+suffix, tool+"-nft"+suffix)
			h.link(tool+"-legacy"+suffix, tool+"-legacy"+suffix)
		}
	}
	h.setDefault(backend)
	return h
}

func (h *target) path(name string) string { return filepath.Join(h.dir, name) }

// link makes a name in bin a link to a tool.
func (h *target) link(name, tool string) {
	h.t.Helper()
	real, err := exec.LookPath(tool)
	if err != nil {
		real, err = exec.LookPath("/usr/sbin/" + tool)
	}
	if err == nil {
		_ = os.Remove(h.path("bin/" + name))
		err = os.Symlink(real, h.path("bin/"+name))
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// setDefault makes iptables a link to a backend, as update-alternatives does.
func (h *target) setDefault(backend lab.Backend) {
	h.t.Helper()
	for family, tool := range map[int]string{4: "iptables", 6: "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			path := h.path("bin/" + tool + suffix)
			_ = os.Remove(path)
			// A wrapper of the program is one under both names.
			if err := os.Symlink(backend.Tool(family, suffix), path); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

// wrap replaces a tool by a script, in which "$real" is the tool.
func (h *target) wrap(name, script string) {
	h.t.Helper()
	path := h.path("bin/" + name)
	real, err := os.Readlink(path)
	if err != nil {
		h.t.Fatal(err)
	}
	text := "#!/bin/sh\nreal=" + real + "\n" + script + "\n"
	if err := errors.Join(os.Remove(path), os.WriteFile(path, []byte(text), 0o755)); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { h.unwrap(name, real) })
}

func (h *target) unwrap(name, real string) {
	path := h.path("bin/" + name)
	if err := errors.Join(os.Remove(path), os.Symlink(real, path)); err != nil {
		h.t.Error(err)
	}
}

// outcome is the exit code and the output of dockerfw.
type outcome struct {
	code int // -1 if by a signal
	text string
}

// apply runs dockerfw apply with a folder.
func (h *target) apply(p *deployed, args ...string) outcome {
	h.t.Helper()
	return h.dockerfw(append([]string{"apply", p.dir}, args...)...)
}

// boot runs dockerfw apply --boot with a folder, as the systemd unit does.
func (h *target) boot(p *deployed) outcome {
	h.t.Helper()
	return h.apply(p, "--boot")
}

// confirm runs dockerfw confirm, rollback dockerfw rollback, and remove dockerfw remove.
func (h *target) confirm() outcome  { h.t.Helper(); return h.dockerfw("confirm") }
func (h *target) rollback() outcome { h.t.Helper(); return h.dockerfw("rollback") }
func (h *target) remove() outcome   { h.t.Helper(); return h.dockerfw("remove") }

// command is what runs dockerfw on the host, with its environment and the tools of its bin.
func (h *target) command(args ...string) []string {
	h.t.Helper()
	command := append(slices.Clone(h.prefix), "env")
	command = append(append(command, h.env...), lab.Program(h.t))
	return append(command, args...)
}

// dockerfw runs the program on the host.
func (h *target) dockerfw(args ...string) outcome {
	h.t.Helper()
	env, command := h.env, append([]string{lab.Program(h.t)}, args...)
	if h.prefix != nil {
		env, command = nil, h.command(args...) // the prefix needs tools that are not in bin
	}
	stdout, stderr, err := h.InputEnv("", env, command...)
	out := outcome{text: stdout + stderr}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		out.code = exit.ExitCode()
	case err != nil:
		h.t.Fatal(err)
	}
	return out
}

// succeeds runs dockerfw apply, which has to exit with 0 and to print all of the words.
func (h *target) succeeds(p *deployed, args []string, words ...string) {
	h.t.Helper()
	h.expect(h.apply(p, args...), 0, words...)
}

// refuses runs dockerfw apply, which has to exit with the code, to print all of the words, and to
// change nothing.
func (h *target) refuses(p *deployed, code int, args []string, words ...string) {
	h.t.Helper()
	h.leavesAlone(func() outcome { return h.apply(p, args...) }, code, words...)
}

// leavesAlone is refuses for any command.
func (h *target) leavesAlone(run func() outcome, code int, words ...string) {
	h.t.Helper()
	before := h.saved()
	h.expect(run(), code, words...)
	h.requireUnchanged(before)
	h.requireNoLeftovers()
}

func (h *target) expect(got outcome, code int, words ...string) {
	h.t.Helper()
	if got.code != code {
		h.t.Fatalf("exit code %d, want %d:\n%s", got.code, code, got.text)
	}
	for _, w := range words {
		if !strings.Contains(got.text, w) {
			h.t.Errorf("the output does not contain %q:\n%s", w, got.text)
		}
	}
}

// saved returns the rules and sets of the host as text, without counters and without the
// parameters of sets that the kernel chooses.
func (h *target) saved() string {
	h.t.Helper()
	out := ""
	for _, b := range lab.Backends {
		if b == lab.Legacy && h.backend != b {
			continue // the legacy tools create their tables when they print them
		}
		for _, f := range []int{4, 6} {
			out += fmt.Sprintf("%s %d\n%s", b, f, withoutNoise(h.IPTablesSave(b, f, "filter")))
			// The security table exists only after a tool has printed it.
			for line := range strings.Lines(withoutNoise(h.IPTablesSave(b, f, "security"))) {
				if strings.HasPrefix(line, "-A ") || strings.HasPrefix(line, ":DOCKERFW") {
					out += "security " + line
				}
			}
		}
	}
	return out + h.sets()
}

func (h *target) sets() string {
	var out []string
	for line := range strings.Lines(h.IPSetSave()) {
		before, _, _ := strings.Cut(line, " bucketsize ")
		words := strings.Fields(before)
		for i := 0; i+1 < len(words); i++ {
			// The remaining time of an element changes.
			if words[0] == "add" && words[i] == "timeout" {
				words = append(words[:i], words[i+2:]...)
			}
		}
		out = append(out, strings.Join(words, " ")+"\n")
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// requireUnchanged fails the test if the rules or sets differ from an earlier saved.
func (h *target) requireUnchanged(before string) {
	h.t.Helper()
	if after := h.saved(); after != before {
		h.t.Errorf("the host changed from\n%s\nto\n%s", before, after)
	}
}

// requireNoLeftovers fails the test if a run left temporary sets or files.
func (h *target) requireNoLeftovers() {
	h.t.Helper()
	h.requireNoneLeftOver(h.setNames())
}

func (h *target) requireNoneLeftOver(sets []string) {
	h.t.Helper()
	for _, s := range sets {
		if strings.HasPrefix(s, "foreign") {
			continue
		}
		if strings.HasSuffix(s, "-alt") || strings.HasSuffix(s, "-new") {
			h.t.Errorf("set %s is left over", s)
		}
	}
	for _, pattern := range []string{"state/*.part", "run/*.part", "run/snapshot"} {
		found, err := filepath.Glob(h.path(pattern))
		if err != nil || len(found) > 0 {
			h.t.Error("left over:", found, err)
		}
	}
}

func (h *target) setNames() []string {
	return strings.Fields(h.MustRun("ipset", "list", "-n"))
}

// chainNames are the chains of a filter table that a tool has saved.
func chainNames(saved string) []string {
	var out []string
	for line := range strings.Lines(saved) {
		if name, ok := strings.CutPrefix(line, ":"); ok {
			out = append(out, strings.Fields(name)[0])
		}
	}
	slices.Sort(out)
	return out
}

// state returns the rules and sets of the host.
func (h *target) state() *snapshot.Host {
	h.t.Helper()
	host, _ := h.read()
	return host
}

// read returns the rules and sets of the host, and the names of the chains of each filter table.
func (h *target) read() (*snapshot.Host, map[ir.Family][]string) {
	h.t.Helper()
	chains := map[ir.Family][]string{}
	dir, err := os.MkdirTemp(h.dir, "saved")
	if err != nil {
		h.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	files := map[string]string{"sets": h.IPSetSave()}
	for family, tool := range map[int]string{4: "iptables", 6: "ip6tables"} {
		text := h.IPTablesSave(h.backend, family, "filter")
		chains[ir.Family(family)] = chainNames(text)
		if !strings.Contains(text, "*filter") {
			// The table exists only after a tool has changed it.
			text = "# Generated by " + tool + "-save v1 on an empty host\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
		}
		files[tool] = text + h.IPTablesSave(h.backend, family, "security")
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	return openState(h.t, dir), chains
}

func openState(t *testing.T, name string) *snapshot.Host {
	t.Helper()
	opened, diags, err := snapshot.Open(name, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return opened.Hosts[0]
}

// differences compares the host with a state, as dockerfw diff does.
func (h *target) differences(want *snapshot.Host) *diff.Report {
	h.t.Helper()
	report, err := diff.Compare(h.state(), want, diff.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	return report
}

// sameVerdicts returns for each family whether the host treats every packet as a state does.
func (h *target) sameVerdicts(want *snapshot.Host) map[ir.Family]bool {
	h.t.Helper()
	out := map[ir.Family]bool{ir.IPv4: true, ir.IPv6: true}
	for _, c := range h.differences(want).Changes {
		for _, f := range c.Families {
			out[f] = false
		}
	}
	return out
}

// requireLoaded fails the test unless the host has exactly the rules and sets of a compiled
// folder, besides foreign ones: Docker's, and those whose names begin with foreign, f2b or
// crowdsec.
func (h *target) requireLoaded(p *deployed) {
	h.t.Helper()
	state := p.state(h.t)
	have, chains := h.read()
	r, err := diff.Compare(have, state, diff.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	if r.Different() || len(r.Rules)+len(r.Foreign) > 0 {
		var out strings.Builder
		_ = diff.WriteText(&out, []*diff.Report{r}, diff.Style{})
		h.t.Errorf("the host differs from policy %q:\n%s", p.name, out.String())
	}
	checks, err := verify.Host(state, have)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range checks {
		if c.Fault() {
			h.t.Errorf("verify %s: %s: %s", p.name, c.Name, c.Text)
		}
	}
	want := state.Sets.Names()
	for _, name := range want {
		h.unmanaged[name] = state.Unmanaged[name]
	}
	sets := h.setNames()
	h.requireNames("sets", sets, want)
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		h.requireNames(fmt.Sprintf("chains of %s", f), chains[f], state.Own[f])
	}
	h.requireNoneLeftOver(sets)
}

// requireNames fails the test unless the names are those wanted, besides foreign ones.
func (h *target) requireNames(what string, have, want []string) {
	h.t.Helper()
	for _, name := range have {
		if !slices.Contains(want, name) && !isForeign(name) && !h.unmanaged[name] {
			h.t.Errorf("%s: %s is left over", what, name)
		}
	}
	for _, name := range want {
		if !slices.Contains(have, name) {
			h.t.Errorf("%s: %s is missing", what, name)
		}
	}
}

func isForeign(name string) bool {
	return slices.Contains([]string{"INPUT", "FORWARD", "OUTPUT", "DOCKER-USER", "DOCKER", "DOCKER-FORWARD", "DOCKER-CT"}, name) ||
		strings.HasPrefix(name, "foreign") || strings.HasPrefix(name, "f2b") || strings.HasPrefix(strings.ToLower(name), "crowdsec")
}
