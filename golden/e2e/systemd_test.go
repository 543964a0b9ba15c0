//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// systemdPolicy is a host whose database the allowed client of the lab reaches, and nobody its status page.
const systemdPolicy = `
host {
  external_interfaces = ["eth0"]
  target              = "%s"
}

accept "database" {
  protocol        = "tcp"
  published_ports = [5432]
  source          = ["198.51.100.2", "2001:db8:1::2"]
}

input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
    source   = ["198.51.100.2", "2001:db8:1::2"]
  }
}
`

// booted is a machine with systemd, an engine, a container that publishes 5432/tcp, and a service of the
// host on 9090/tcp.
type booted struct {
	*lab.Machine
	t   *testing.T
	lab *lab.Lab
}

// It is a user's first day: the package is installed, and later the host boots, with a folder and without.
func TestTheUnitsProtectAHostThatBootsSystemd(t *testing.T) {
	t.Parallel()
	debian := testenv.Debian()
	if _, err := os.Stat(filepath.Join(debian, "lib/systemd/systemd")); err != nil {
		testenv.SkipOrFail(t, fmt.Sprintf("%v: make debian creates it", err))
	}
	deb, err := os.ReadFile(releaseFile(t, releaseFolder(t), "*_"+runtime.GOARCH+".deb"))
	if err != nil {
		t.Fatal(err)
	}
	lb := lab.NewLab(t)
	h := &booted{lb.NewMachine(debian, netip.MustParseAddr("198.51.100.9"), netip.MustParseAddr("2001:db8:1::9")), t, lb}
	t.Cleanup(func() {
		if out, _, _ := h.Run("journalctl", "--no-pager", "--unit", "dockerfw*", "--output", "short-monotonic"); t.Failed() {
			t.Logf("journal:\n%s", out)
		}
	})
	h.RunContainer("database", "5432:5432/tcp")
	h.ServerUnit("statuspage", "9090/tcp")
	h.answers(h.lab.Other, h.At(5432), h.At6(5432), h.At(9090))

	h.WriteFile("/root/dockerfw.deb", string(deb), 0o644)
	h.MustRun("apt-get", "install", "-qq", "--no-install-recommends", "/root/dockerfw.deb")
	for _, unit := range []string{"dockerfw.service", "dockerfw-verify.timer"} {
		h.outputs(unit, "disabled", "systemctl", "is-enabled", unit)
	}
	// So does the first boot of an image with all units. Without a folder it would close all containers.
	h.MustRun("systemctl", "preset", "dockerfw.service", "dockerfw-verify.timer")
	h.outputs("after the presets", "disabled", "systemctl", "is-enabled", "dockerfw.service")
	if text := h.status(1); !strings.Contains(text, "NOT LOADED") || strings.Contains(text, "systemctl enable") {
		t.Errorf("status proposes to enable a unit that has nothing to load:\n%s", text)
	}
	h.load("1", "iptables")
	h.MustRun("systemctl", "enable", "--quiet", "--now", "dockerfw")
	h.bootsClosed("iptables")
	h.restartsAndReloads()
	h.verifiesByTimer()
	h.bootsWithoutAFolder()
	h.load("2", "nftables")
	h.MustRun("systemctl", "restart", "dockerfw")
	h.reloadsNFTables()
	h.removesThePackage()
}

// load follows docs/operations.md: compile, copy, load with confirmation, select for boot.
func (h *booted) load(name, target string) {
	h.t.Helper()
	dir := "/etc/dockerfw.d/" + name
	h.WriteFile("/root/policy.hcl", fmt.Sprintf(systemdPolicy, target), 0o644)
	h.MustRun("dockerfw", "compile", "/root/policy.hcl", "-o", dir)
	h.MustRun("dockerfw", "apply", "--confirm", "60", dir)
	h.MustRun("dockerfw", "confirm")
	h.MustRun("ln", "-sfn", dir, "/etc/dockerfw.next")
	h.MustRun("mv", "-T", "/etc/dockerfw.next", "/etc/dockerfw")
}

// status is what dockerfw status prints.
func (h *booted) status(code int) string {
	h.t.Helper()
	return h.outputs("status", "", "sh", "-c", fmt.Sprintf("dockerfw status; test $? = %d", code))
}

// outputs runs a command and requires that a line is in its output. The exit status of systemctl's
// questions is an answer as well.
func (h *booted) outputs(what, line string, args ...string) string {
	h.t.Helper()
	out, _, err := h.Run(args...)
	if args[0] != "systemctl" && err != nil || line != "" && !strings.Contains("\n"+out, "\n"+line+"\n") {
		h.t.Errorf("%s: %v\n%s", what, err, out)
	}
	return out
}

// answers waits until a client is answered at each address.
func (h *booted) answers(client *lab.Node, at ...string) {
	h.t.Helper()
	for _, to := range at {
		deadline := time.Now().Add(lab.LongPatience)
		for got := lab.Result(""); got != lab.Answered; time.Sleep(10 * time.Millisecond) {
			if got = client.Connect("tcp", to); time.Now().After(deadline) {
				h.t.Fatalf("%s to %s: %s", client.Name, to, got)
			}
		}
	}
}

// probes are those of the client that is not allowed, to ports of the machine.
func (h *booted) probes(ports ...uint16) []*lab.Traffic {
	var all []string
	for _, port := range ports {
		all = append(all, h.At(port), h.At6(port))
	}
	var out []*lab.Traffic
	for _, to := range all {
		out = append(out, h.lab.Other.StartProbe("tcp", to, 5*time.Millisecond))
	}
	return out
}

// noneAnswered ends probes.
func (h *booted) noneAnswered(when string, probes []*lab.Traffic) {
	h.t.Helper()
	for _, p := range probes {
		if got := p.Stop(); got.Answered > 0 || got.Attempts == 0 {
			h.t.Errorf("%s: %d of %d attempts of a client that is not allowed were answered: %v", when, got.Answered, got.Attempts, got.Unexpected)
		}
	}
}

// bootsClosed reboots the machine and requires that nobody gets in who is not allowed, from before the
// shutdown until all is up.
func (h *booted) bootsClosed(what string) {
	h.t.Helper()
	probes := h.probes(5432, 9090)
	if got := h.Reboot(); got != "running" {
		h.t.Errorf("%s: systemd is %s:\n%s", what, got, h.MustRun("systemctl", "--failed"))
	}
	h.answers(h.lab.Allowed, h.At(5432))
	h.noneAnswered(what+": a boot", probes)
	loaded := h.entered("dockerfw.service", "ExecMainExitTimestampMonotonic")
	for unit, since := range map[string]int{
		"docker.service":     h.entered("docker.service", "ExecMainStartTimestampMonotonic"),
		"statuspage.service": h.entered("statuspage.service", "ExecMainStartTimestampMonotonic"),
	} {
		if loaded == 0 || since <= loaded {
			h.t.Errorf("%s: %s started at %d, and the rules were loaded at %d", what, unit, since, loaded)
		}
	}
	if text := h.status(0); !strings.Contains(text, "in force, exactly as compiled\n") || !strings.Contains(text, "the unit is enabled, and loads /etc/dockerfw.d/") {
		h.t.Errorf("%s: status after a boot:\n%s", what, text)
	}
}

// entered is a time of a unit, in microseconds since the kernel started.
func (h *booted) entered(unit, property string) int {
	h.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(h.MustRun("systemctl", "show", "--value", "--property", property, unit)))
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// restartsAndReloads are what an administrator does to the services with target iptables.
func (h *booted) restartsAndReloads() {
	probes := h.probes(5432, 9090)
	h.MustRun("systemctl", "restart", "docker")
	h.MustRun("systemctl", "reload", "dockerfw")
	h.answers(h.lab.Allowed, h.At(5432))
	h.noneAnswered("restart of docker, reload of dockerfw", probes)

	// nftables.service flushes all tables: only its reload leads to one of dockerfw.
	h.MustRun("systemctl", "start", "nftables")
	h.status(1)
	for _, unit := range []string{"reload nftables", "enable --now dockerfw-nftables", "restart nftables"} {
		if strings.HasPrefix(unit, "enable") {
			h.WriteFile("/etc/systemd/system/dockerfw-nftables.service", shownFile(h.t, "/etc/systemd/system/dockerfw-nftables.service"), 0o644)
			h.MustRun("nft", "flush", "ruleset")
			h.status(1)
		}
		h.MustRun(append([]string{"systemctl"}, strings.Fields(unit)...)...)
		h.settled()
		if text := h.status(0); !strings.Contains(text, "in force, exactly as compiled\n") {
			h.t.Errorf("systemctl %s:\n%s", unit, text)
		}
	}
	h.MustRun("systemctl", "disable", "--quiet", "--now", "dockerfw-nftables", "nftables")
	h.MustRun("systemctl", "reload", "dockerfw")
	h.MustRun("systemctl", "restart", "docker")
}

// settled waits until systemd has no jobs: systemctl does not wait for those that a reload leads to.
func (h *booted) settled() {
	h.t.Helper()
	h.MustRun("timeout", "120", "sh", "-c", "until systemctl list-jobs | grep -q '^No jobs'; do sleep 0.05; done")
}

// verifiesByTimer enables the timer, with short times, and changes the rules.
func (h *booted) verifiesByTimer() {
	const metrics = "/var/lib/prometheus/node-exporter/dockerfw.prom"
	h.MustRun("mkdir", "-p", filepath.Dir(metrics))
	h.WriteFile("/etc/systemd/system/dockerfw-verify.timer.d/often.conf", "[Timer]\nOnBootSec=\nOnUnitInactiveSec=\nOnBootSec=1s\nOnUnitInactiveSec=1s\nRandomizedDelaySec=0\nAccuracySec=1ms\n", 0o644)
	h.MustRun("systemctl", "daemon-reload")
	h.MustRun("systemctl", "enable", "--quiet", "--now", "dockerfw-verify.timer")
	wait := func(condition string) {
		h.t.Helper()
		h.MustRun("timeout", "120", "sh", "-c", "until "+condition+"; do sleep 0.1; done")
	}
	wait("grep -q '^dockerfw_ok 1' " + metrics)
	h.outputs("the check of a host in order", "Result=success", "systemctl", "show", "--property", "Result", "dockerfw-verify.service")
	h.MustRun("iptables", "-D", "DOCKER-USER", "1")
	wait("systemctl is-failed --quiet dockerfw-verify.service && grep -q '^dockerfw_ok 0' " + metrics)
	h.outputs("the unit of the metrics, which report it", "Result=success", "systemctl", "show", "--property", "Result", "dockerfw-metrics.service")
	if out := h.MustRun("journalctl", "--unit", "dockerfw-verify", "--output", "cat"); !regexp.MustCompile(`(?m)^FAIL +IPv4 rules`).MatchString(out) {
		h.t.Errorf("the journal does not show what is missing:\n%s", out)
	}
	h.MustRun("systemctl", "reload", "dockerfw")
	wait("! systemctl is-failed --quiet dockerfw-verify.service && grep -q '^dockerfw_ok 1' " + metrics)
	h.MustRun("systemctl", "disable", "--quiet", "--now", "dockerfw-verify.timer")
}

// bootsWithoutAFolder boots with a folder and a copy of it that are damaged.
func (h *booted) bootsWithoutAFolder() {
	h.MustRun("sh", "-c", "echo damaged >>/etc/dockerfw.d/1/iptables.restore")
	const damaged = "the unit cannot load /etc/dockerfw.d/1: /etc/dockerfw was changed after it was compiled: iptables.restore"
	if text := h.status(0); !strings.Contains(text, damaged) {
		h.t.Errorf("status does not show what the next boot cannot load:\n%s", text)
	}
	h.MustRun("sh", "-c", "for file in /var/lib/dockerfw/folder-*/iptables.restore; do echo damaged >>$file; done")
	probes := h.probes(5432)
	if got := h.Reboot(); got != "degraded" {
		h.t.Errorf("with nothing to load, systemd is %s", got)
	}
	h.outputs("with nothing to load", "failed", "systemctl", "is-failed", "dockerfw.service")
	if text := h.status(1); !strings.Contains(text, "rules      CLOSED: ") || !strings.Contains(text, damaged) {
		h.t.Errorf("with nothing to load:\n%s", text)
	}
	h.noneAnswered("with nothing to load", probes)
	for _, to := range []string{h.At(5432), h.At6(5432)} {
		if got := h.lab.Allowed.Connect("tcp", to); got == lab.Answered {
			h.t.Errorf("with nothing to load, %s answers", to)
		}
	}
	h.MustRun("dockerfw", "compile", "/root/policy.hcl", "-o", "/etc/dockerfw.d/1")
	h.MustRun("systemctl", "restart", "dockerfw")
	h.answers(h.lab.Allowed, h.At(5432))
	h.status(0)
}

// reloadsNFTables are reloads of nftables.service with the line of docs/operations.md, with target nftables.
func (h *booted) reloadsNFTables() {
	conf := strings.TrimSuffix(h.ReadFile("/etc/nftables.conf"), "\n") + "\n"
	include := shownFile(h.t, "/etc/nftables.conf")
	h.WriteFile("/etc/nftables.conf", conf+include, 0o755)
	h.MustRun("systemctl", "enable", "--quiet", "--now", "nftables")
	h.MustRun("systemctl", "restart", "docker")
	probes := h.probes(5432, 9090)
	for range 3 {
		h.MustRun("systemctl", "reload", "nftables")
	}
	h.settled()
	h.noneAnswered("reloads of nftables", probes)
	h.status(0)
	h.MustRun("systemctl", "restart", "nftables")
	h.MustRun("systemctl", "restart", "docker")
	h.status(0)
	h.bootsClosed("nftables")
}

// removesThePackage requires that no unit is left over, and that the rules stay.
func (h *booted) removesThePackage() {
	h.MustRun("systemctl", "enable", "--quiet", "--now", "dockerfw-verify.timer")
	h.MustRun("apt-get", "remove", "-qq", "dockerfw")
	if out, _, _ := h.Run("systemctl", "list-units", "--all", "--no-legend", "dockerfw.service", "dockerfw-verify.timer"); out != "" {
		h.t.Errorf("units after the removal of the package:\n%s", out)
	}
	if got := h.lab.Other.Connect("tcp", h.At(9090)); got == lab.Answered {
		h.t.Error("the removal of the package has opened the host")
	}
	h.MustRun("nft", "list", "table", "inet", "dockerfw")
}
