//go:build linux

package golden

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

// target is a host to deploy to: a network namespace, and the tools and folders that
// apply.sh finds there.
type target struct {
	*lab.Namespace
	t       *testing.T
	backend lab.Backend
	shell   []string
	// dir holds folders: bin, the only one on the PATH, run and state.
	dir string
	env []string
	// prefix is a command that runs the script, such as one that mounts something first.
	prefix []string
	// left are sets that a policy left to others: they stay when another policy comes.
	left map[string]bool
}

// scriptTools is what the scripts run besides the iptables of both kinds, and "real" is
// what stands behind a name of bin.
var scriptTools = strings.Fields("awk cat comm conntrack cp cut dirname env flock grep head id ip ipset mkdir mv rm sed setsid sh sha256sum sleep sort sync touch tr unshare")

func newTarget(t *testing.T, backend lab.Backend) *target {
	t.Helper()
	lab.Require(t, "iptables-nft", "iptables-legacy", "ipset", "conntrack")
	return targetIn(t, backend, lab.NewNamespace(t, "dfw-target"))
}

// targetIn makes a host of a namespace that is there.
func targetIn(t *testing.T, backend lab.Backend, ns *lab.Namespace) *target {
	t.Helper()
	h := &target{Namespace: ns, t: t, backend: backend, shell: []string{"sh"}, dir: t.TempDir(), left: map[string]bool{}}
	h.env = []string{"PATH=" + h.path("bin"), "DOCKERFW_RUN=" + h.path("run"), "DOCKERFW_STATE=" + h.path("state")}
	if err := os.Mkdir(h.path("bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range scriptTools {
		h.link(name, name)
	}
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

// link makes a name of bin mean a tool.
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

// setDefault makes iptables mean a backend, as update-alternatives does.
func (h *target) setDefault(backend lab.Backend) {
	h.t.Helper()
	for family, tool := range map[int]string{4: "iptables", 6: "ip6tables"} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			h.link(tool+suffix, backend.Tool(family, suffix))
		}
	}
}

// wrap puts a script in the place of a tool; in it, "$real" is the tool.
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

// outcome is how a script ended.
type outcome struct {
	code int // -1 if by a signal
	text string
}

// apply runs a folder's apply.sh.
func (h *target) apply(p *deployed, args ...string) outcome {
	h.t.Helper()
	return h.script(filepath.Join(p.dir, "apply.sh"), args...)
}

func (h *target) script(path string, args ...string) outcome {
	h.t.Helper()
	command := append(slices.Clone(h.prefix), "env")
	command = append(command, h.env...)
	command = append(append(command, h.shell...), path)
	stdout, stderr, err := h.Run(append(command, args...)...)
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

// succeeds runs apply.sh, which has to exit with 0 and to say all of the words.
func (h *target) succeeds(p *deployed, args []string, words ...string) {
	h.t.Helper()
	h.expect(h.apply(p, args...), 0, words...)
}

// refuses runs apply.sh, which has to exit with the code, to say all of the words, and to
// leave everything as it was.
func (h *target) refuses(p *deployed, code int, args []string, words ...string) {
	h.t.Helper()
	before := h.saved()
	h.expect(h.apply(p, args...), code, words...)
	h.unchanged(before)
	h.tidy()
}

func (h *target) expect(got outcome, code int, words ...string) {
	h.t.Helper()
	if got.code != code {
		h.t.Fatalf("exit code %d, want %d:\n%s", got.code, code, got.text)
	}
	for _, w := range words {
		if !strings.Contains(got.text, w) {
			h.t.Errorf("it does not say %q:\n%s", w, got.text)
		}
	}
}

// saved is what the host has, as text without counters and without what the kernel
// chooses for sets.
func (h *target) saved() string {
	h.t.Helper()
	out := ""
	for _, b := range lab.Backends {
		if b == lab.Legacy && h.backend != b {
			continue // asking the legacy tools makes their tables
		}
		for _, f := range []int{4, 6} {
			out += fmt.Sprintf("%s %d\n%s", b, f, withoutNoise(h.IPTablesSave(b, f, "filter")))
			// The security table is there once somebody has asked for it.
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
			// What is left of an element's time passes.
			if words[0] == "add" && words[i] == "timeout" {
				words = append(words[:i], words[i+2:]...)
			}
		}
		out = append(out, strings.Join(words, " ")+"\n")
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

func (h *target) unchanged(before string) {
	h.t.Helper()
	if after := h.saved(); after != before {
		h.t.Errorf("the host changed from\n%s\nto\n%s", before, after)
	}
}

// tidy fails the test if a run left something: sets under other names, or files.
func (h *target) tidy() {
	h.t.Helper()
	for _, s := range h.setNames() {
		if strings.HasPrefix(s, "foreign") {
			continue
		}
		if strings.HasSuffix(s, "-alt") || strings.HasSuffix(s, "-new") {
			h.t.Errorf("set %s is left over", s)
		}
	}
	for _, pattern := range []string{"run/work.*", "state/*.part", "state/probe", "run/*.part"} {
		found, err := filepath.Glob(h.path(pattern))
		if err != nil || len(found) > 0 {
			h.t.Error("left over:", found, err)
		}
	}
}

func (h *target) setNames() []string {
	return strings.Fields(h.MustRun("ipset", "list", "-n"))
}

func (h *target) chainNames(family int) []string {
	var out []string
	for line := range strings.Lines(h.IPTablesSave(h.backend, family, "filter")) {
		if name, ok := strings.CutPrefix(line, ":"); ok {
			out = append(out, strings.Fields(name)[0])
		}
	}
	slices.Sort(out)
	return out
}

// state reads what the host has.
func (h *target) state() *snapshot.Host {
	h.t.Helper()
	dir, err := os.MkdirTemp(h.dir, "saved")
	if err != nil {
		h.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	files := map[string]string{"sets": h.IPSetSave()}
	for family, tool := range map[int]string{4: "iptables", 6: "ip6tables"} {
		text := h.IPTablesSave(h.backend, family, "filter")
		if !strings.Contains(text, "*filter") {
			// No tool of nft's has asked for the table yet.
			text = "# Generated by " + tool + "-save v1 on a bare host\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
		}
		files[tool] = text + h.IPTablesSave(h.backend, family, "security")
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	return openState(h.t, dir)
}

func openState(t *testing.T, name string) *snapshot.Host {
	t.Helper()
	opened, diags, err := snapshot.Open(name, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return opened.Hosts[0]
}

// differences compares what the host has with a state, as dockerfw diff does.
func (h *target) differences(want *snapshot.Host) *diff.Report {
	h.t.Helper()
	report, err := diff.Compare(h.state(), want, diff.Options{})
	if err != nil {
		h.t.Fatal(err)
	}
	return report
}

// means returns the families in which the host decides each packet as a state does.
func (h *target) means(want *snapshot.Host) map[ir.Family]bool {
	h.t.Helper()
	out := map[ir.Family]bool{ir.IPv4: true, ir.IPv6: true}
	for _, c := range h.differences(want).Changes {
		for _, f := range c.Families {
			out[f] = false
		}
	}
	return out
}

// has fails the test unless the host has exactly what a compiled folder holds, besides
// what is of others: sets and chains whose names begin with "foreign", f2b or crowdsec, and Docker's.
func (h *target) has(p *deployed) {
	h.t.Helper()
	if r := h.differences(p.state(h.t)); r.Different() || len(r.Rules)+len(r.Foreign) > 0 {
		var out strings.Builder
		_ = diff.WriteText(&out, []*diff.Report{r}, diff.Style{})
		h.t.Errorf("the host does not have what %s says:\n%s", p.name, out.String())
	}
	state := p.state(h.t)
	checks, err := verify.Host(state, h.state())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range checks {
		if !c.OK {
			h.t.Errorf("verify %s: %s: %s", p.name, c.Name, c.Text)
		}
	}
	want := state.Sets.Names()
	for _, name := range want {
		h.left[name] = state.Unmanaged[name]
	}
	h.onlyOurs("sets", h.setNames(), want)
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		h.onlyOurs(fmt.Sprintf("chains of %s", f), h.chainNames(int(f)), state.Own[f])
	}
	h.tidy()
}

func (h *target) onlyOurs(what string, have, want []string) {
	h.t.Helper()
	for _, name := range have {
		if !slices.Contains(want, name) && !ofOthers(name) && !h.left[name] {
			h.t.Errorf("%s: %s is left over", what, name)
		}
	}
	for _, name := range want {
		if !slices.Contains(have, name) {
			h.t.Errorf("%s: %s is missing", what, name)
		}
	}
}

func ofOthers(name string) bool {
	return slices.Contains([]string{"INPUT", "FORWARD", "OUTPUT", "DOCKER-USER", "DOCKER", "DOCKER-FORWARD", "DOCKER-CT"}, name) ||
		strings.HasPrefix(name, "foreign") || strings.HasPrefix(name, "f2b") || strings.HasPrefix(strings.ToLower(name), "crowdsec")
}
