//go:build linux

package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// besidePolicy admits every client to 443, the allowed client to all published ports, and no one
// else to anything but ssh.
const besidePolicy = `
host {
  external_interfaces = ["eth0", "eth1"]
  install             = "jump"
}
ipset "clients" {
  entries = ["198.51.100.2", "2001:db8:1::2"]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default {
  allow = [ipset.clients]
}
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
  accept "clients" {
    protocol = ["tcp", "udp"]
    ports    = ["1-65535"]
    source   = [ipset.clients]
  }
}
`

// besideFirewalls runs a test on a host with the programs of other firewalls, before the engine
// runs for the first time.
func besideFirewalls(t *testing.T, test func(*bench)) {
	t.Parallel()
	if testenv.EngineRoot() != "" {
		t.Skip("the packages of other firewalls are for the release of this machine")
	}
	backends := []lab.Backend{lab.NFT}
	if testenv.Soak() {
		backends = lab.Backends
	} else {
		t.Log("left out: the legacy backend")
	}
	for _, backend := range backends {
		t.Run(string(backend), func(t *testing.T) {
			// A parallel test begins behind those of all other tests, and these take longest: alone, nothing
			// else would be left to run beside them.
			if len(backends) > 1 {
				t.Parallel()
			}
			site := lab.NewLab(t)
			engine := site.NewEngine(lab.EngineOptions{Backend: backend, IPv6: true})
			engine.AddFirewalls(backend)
			b := newBench(t, site, engine, backend)
			b.writeSystemctl()
			test(b)
		})
	}
}

// unitCommand is the command of dockerfw's unit with a key.
func (b *bench) unitCommand(key string) string {
	b.Helper()
	for line := range strings.Lines(b.run("dockerfw", "apply", "--print-unit")) {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return command
		}
	}
	b.Fatalf("the unit has no %s", key)
	return ""
}

// writeSystemctl writes a program that does what systemd does with dockerfw's unit while it is
// active.
func (b *bench) writeSystemctl() {
	b.Helper()
	b.engine.WriteFile("/mnt/bin/systemctl", `#!/bin/sh
case "$*" in
"is-active --quiet dockerfw.service") ;;
"reload-or-restart dockerfw.service") `+b.unitCommand("ExecReload")+` ;;
*)
	echo "systemctl $* is not expected" >&2
	exit 1
	;;
esac
`, 0o755)
}

// run runs a command of another firewall, which has to succeed, and returns what it prints.
func (b *bench) run(args ...string) string {
	b.Helper()
	stdout, stderr, err := b.engine.RunTool(deployFolders, args...)
	if err != nil {
		b.Fatal(err)
	}
	return stdout + stderr
}

// bootFolder compiles a policy and makes it the folder that the unit loads.
func (b *bench) bootFolder(policy string) string {
	b.Helper()
	folder := b.folder("policy", policy)
	b.run("ln", "-sfn", folder, "/etc/dockerfw")
	return folder
}

// closedPorts are what the policy closes to the other client: it reaches 443 alone.
func (b *bench) closedPorts(web *lab.Container) []endpoint {
	b.Helper()
	return append(b.published(5432, 5353), direct(web)...)
}

// publishedWeb runs the container that the policy is for.
func (b *bench) publishedWeb() *lab.Container {
	b.Helper()
	return b.web("443:80/tcp", "5432:81/tcp", "5353:53/udp")
}

// requireProtected fails the test unless the host has the policy's effect.
func (b *bench) requireProtected(when string, web *lab.Container) {
	b.Helper()
	b.requireReachable(when, b.publishedBySeveral(443, 5432))
	b.requireReachable(when, []endpoint{{"udp", b.Host.At(5353)}})
	b.requireOpenToAll(when)
	if got := b.reached(b.Other, b.closedPorts(web)); got != "nothing" {
		b.Errorf("%s: the other client reaches %s", when, got)
	}
}

// requireOpenToAll fails the test unless the other client reaches 443.
func (b *bench) requireOpenToAll(when string) {
	b.Helper()
	var tries []try
	for _, to := range b.publishedBySeveral(443) {
		tries = append(tries, try{b.Other, to.network, to.to, lab.Answered})
	}
	b.expectAll(when, tries)
}

// failedChecks are the checks of dockerfw verify that fail, with their texts; "" for none.
func (b *bench) failedChecks() string {
	b.Helper()
	output, _ := b.dockerfw("verify", "/etc/dockerfw", "live")
	var failed []string
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "ok ") && !strings.HasPrefix(line, "-- ") {
			failed = append(failed, strings.TrimSpace(line))
		}
	}
	return strings.Join(failed, "\n")
}

// waitFor waits until verify has exactly the failed checks whose texts contain the given ones.
func (b *bench) waitFor(when string, want ...string) {
	b.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		got := b.failedChecks()
		if sameFailures(got, want) {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("%s: verify fails with\n%s\nwant failures with %q", when, got, want)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func sameFailures(got string, want []string) bool {
	if len(want) == 0 {
		return got == ""
	}
	for line := range strings.Lines(got) {
		found := false
		for _, text := range want {
			found = found || strings.Contains(line, text)
		}
		if !found {
			return false
		}
	}
	return got != ""
}

// fileOfDocs is a file that docs/operations.md shows, with the programs of the test's host.
func fileOfDocs(t *testing.T, path string) string {
	t.Helper()
	return strings.NewReplacer("/usr/local/bin:", "/mnt/bin:", "systemctl ", "/mnt/bin/systemctl ").Replace(shownFile(t, path))
}

// shownFile is a file that docs/operations.md shows: the fenced block with its path in the first two
// lines.
func shownFile(t *testing.T, path string) string {
	t.Helper()
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^( *)```[a-z]+\n(.*?)^ *```$").FindAllStringSubmatch(string(doc), -1) {
		text := strings.ReplaceAll("\n"+m[2], "\n"+m[1], "\n")[1:]
		lines := strings.SplitAfterN(text, "\n", 3)
		if strings.Contains(strings.Join(lines[:min(2, len(lines))], ""), path) {
			return text
		}
	}
	t.Fatalf("docs/operations.md shows no file %s", path)
	return ""
}

// logged counts answers that the test expects, in the table of docs/operations.md.
func (b *bench) logged(when string, s trafficSet) {
	b.Helper()
	sum := s.stop()
	if sum.Answered == 0 {
		b.Logf("%s: none of %d probes was answered", when, sum.Attempts)
		return
	}
	b.Logf("%s: %d of %d probes were answered, within %d ms", when, sum.Answered, sum.Attempts, sum.Last.Sub(sum.First).Milliseconds())
}
