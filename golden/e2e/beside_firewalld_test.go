//go:build linux

package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// firewalldCase is one configuration of firewalld.
type firewalldCase struct {
	backend string   // of its own rules
	reloads []string // options of firewall-cmd
}

func (b *bench) startFirewalld() {
	b.Helper()
	b.engine.StartService("firewalld", nil, "firewalld", "--nofork", "--nopid")
	b.waitForFirewalld()
}

// waitForFirewalld waits until firewalld reports what firewall-cmd --state asks for, which is a program in Python.
func (b *bench) waitForFirewalld() {
	b.Helper()
	b.run("sh", "-c", "until dbus-send --system --print-reply --dest=org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 "+
		"org.freedesktop.DBus.Properties.Get string:org.fedoraproject.FirewallD1 string:state 2>/dev/null | grep -q RUNNING; do sleep 0.1; done")
}

// startTrigger runs the command of the unit that docs/operations.md shows, without systemd.
func (b *bench) startTrigger() {
	b.Helper()
	unit := fileOfDocs(b.T, "/etc/systemd/system/dockerfw-firewalld.service")
	m := regexp.MustCompile(`(?s)ExecStart=/bin/sh -c '([^']*)'\n`).FindStringSubmatch(unit)
	if m == nil {
		b.Fatalf("no command in\n%s", unit)
	}
	command := strings.NewReplacer("$$", "$", "\\\n", "").Replace(m[1])
	b.engine.StartService("trigger", deployFolders, "sh", "-c", command)
}

func TestFirewalldOpensNothingBesideARealEngine(t *testing.T) {
	t.Parallel()
	cases := []firewalldCase{
		{"nftables", []string{"--reload", "--complete-reload"}},
		{"iptables", []string{"--reload"}},
	}
	if testenv.Soak() {
		for i := range cases {
			cases[i].reloads = slices.Repeat([]string{"--reload", "--complete-reload"}, 10)
		}
	} else {
		t.Log("left out: 19 of 20 reloads for each of firewalld's backends")
	}
	for _, c := range cases {
		t.Run(c.backend, func(t *testing.T) { besideFirewalls(t, c.test) })
	}
}

func (c firewalldCase) test(b *bench) {
	b.engine.StartBus()
	b.replaceInFile("/etc/firewalld/firewalld.conf", "FirewallBackend=nftables", "FirewallBackend="+c.backend)
	b.replaceInFile("/etc/firewalld/firewalld.conf", "CleanupOnExit=yes", "CleanupOnExit=no")
	b.engine.WriteFile("/etc/firewalld/direct.xml", fileOfDocs(b.T, "/etc/firewalld/direct.xml"), 0o644)
	b.bootFolder(besidePolicy)

	// At its first start the engine creates a zone, for which it reloads firewalld.
	b.boot()
	b.startTrigger()
	published := b.startProbes(b.published(5432, 5353))
	b.engine.Start()
	web := b.publishedWeb()
	b.waitFor("the engine started")
	b.requireNoneAnswered("the first start of the engine", published)
	b.requireProtected("the engine started", web)

	for _, how := range c.reloads {
		b.closedDuring("firewall-cmd "+how, web, func() {
			b.run("firewall-cmd", how)
			b.waitFor("firewall-cmd " + how)
		})
		b.requireProtected("firewall-cmd "+how, web)
	}

	// systemctl reload firewalld: systemd reloads dockerfw's unit when the signal is sent.
	b.engine.StopService("trigger")
	b.closedDuring("systemctl reload", web, func() {
		b.run("sh", "-c", "kill -HUP $(cat /run/firewalld.pid); systemctl reload-or-restart dockerfw.service")
		b.waitFor("systemctl reload")
	})
	b.requireProtected("systemctl reload", web)
	b.startTrigger()

	b.closedDuring("panic mode", web, func() {
		b.run("firewall-cmd", "--panic-on")
		if got := b.failedChecks(); !strings.Contains(got, "has no effect") {
			b.Errorf("panic mode drops all packets, and verify fails with\n%s", got)
		}
		if output := b.apply("/etc/dockerfw"); !strings.Contains(output, `accept "https" has no effect`) {
			b.Errorf("panic mode drops all packets, and apply does not report it:\n%s", output)
		}
		b.expectAll("panic mode", []try{{b.Allowed, "tcp", b.Host.At(443), lab.TimedOut}})
		b.run("firewall-cmd", "--panic-off")
	})
	b.requireProtected("panic mode off", web)

	// CleanupOnExit=no: it leaves all rules where they are.
	b.closedDuring("firewalld stopped", web, func() { b.engine.StopService("firewalld") })
	b.requireProtected("firewalld stopped", web)
	b.waitFor("firewalld stopped")

	start := func() {
		b.startFirewalld()
		b.waitFor("firewalld started")
	}
	if c.backend == "nftables" {
		b.closedDuring("firewalld started", web, start)
	} else {
		// It deletes all rules some time before it loads its own.
		other := b.startProbes(b.closedPorts(web))
		start()
		b.logged("firewalld started", other)
		b.flushConntrack()
		// verify may have seen the rules before they were deleted.
		b.waitUntil("the rules are loaded again", func() bool { return b.reached(b.Other, b.closedPorts(web)) == "nothing" })
		b.waitFor("firewalld started")
	}
	b.requireProtected("firewalld started", web)
}

// closedDuring fails the test if the other client gets an answer while f runs.
func (b *bench) closedDuring(when string, web *lab.Container, f func()) {
	b.Helper()
	other := b.startProbes(b.closedPorts(web))
	f()
	b.requireNoneAnswered(when, other)
}

// boot starts firewalld and then dockerfw's unit as systemd does: firewalld has started for it when it
// has its name on D-Bus.
func (b *bench) boot() {
	b.Helper()
	b.engine.StartService("firewalld", nil, "firewalld", "--nofork", "--nopid")
	b.run("sh", "-c", "until dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner string:org.fedoraproject.FirewallD1 | grep -q true; do :; done")
	b.run("sh", "-c", b.unitCommand("ExecStart"))
	b.waitForFirewalld()
	for _, family := range []int{4, 6} {
		if rules := b.engine.Tools.IPTablesSave(b.backend, family, "filter"); !strings.Contains(rules, "-A DOCKER-USER -j DOCKERFW") {
			b.Errorf("firewalld has deleted the rules that the unit loaded after it:\n%s", rules)
		}
	}
}
