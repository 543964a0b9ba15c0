//go:build linux

package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// sessions are open connections of both clients, by client, protocol and endpoint.
type sessions map[string]*lab.Session

func (b *bench) openSessions() sessions {
	b.Helper()
	out := sessions{}
	for _, client := range []*lab.Node{b.Allowed, b.Other} {
		for _, t := range b.published(8080, 5353) {
			out[fmt.Sprintf("%s %s %s", client.Name, t.network, t.to)] = client.OpenSession(t.network, t.to)
		}
	}
	return out
}

// pinged returns the result of each session, all tested at once.
func (s sessions) pinged() map[string]lab.Result {
	var wait sync.WaitGroup
	var mu sync.Mutex
	out := map[string]lab.Result{}
	for name, session := range s {
		wait.Go(func() {
			result := session.Ping()
			mu.Lock()
			defer mu.Unlock()
			out[name] = result
		})
	}
	wait.Wait()
	return out
}

// requireOpen fails the test unless all sessions of a client continue, or unless none does.
func (s sessions) requireOpen(b *bench, when, client string, want bool) {
	b.Helper()
	for name, got := range s.pinged() {
		if strings.HasPrefix(name, client) && (got == lab.Answered) != want {
			b.Errorf("%s: %s: %s", when, name, got)
		}
	}
}

func (s sessions) close() {
	for _, session := range s {
		session.Close()
	}
}

const bothAddresses = `"198.51.100.2", "198.51.100.3", "2001:db8:1::2", "2001:db8:1::3"`

const allowedAddresses = `"198.51.100.2", "2001:db8:1::2"`

func TestOpenSessionsContinueOrEndAsConfigured(t *testing.T) {
	lab.Require(t, "conntrack")
	onEngines(t, func(b *bench) {
		b.web("8080:80/tcp", "5353:53/udp")
		for _, how := range []struct {
			name, mode string
			options    []string
			ends       bool
		}{
			// First, because it counts entries: those of closed connections may stay for a while.
			{"cut", "keep", []string{"--cut"}, true},
			{"keep", "keep", nil, false},
			{"recheck", "recheck", nil, true},
		} {
			b.flushConntrack()
			b.load(revoking(how.mode, bothAddresses))
			open := b.openSessions()
			if how.name != "cut" {
				// The same policy again, and one that admits both clients with other entries.
				b.load(revoking(how.mode, bothAddresses))
				b.load(revoking(how.mode, `"198.51.100.0/24", "2001:db8:1::/64"`))
				open.requireOpen(b, how.name+", reloads", "", true)
			}

			output := b.apply(b.folder("revoked", revoking(how.mode, allowedAddresses)), how.options...)
			open.requireOpen(b, how.name+", revoked", b.Allowed.Name, true)
			open.requireOpen(b, how.name+", revoked", b.Other.Name, !how.ends)
			b.expect(how.name+", a new connection", try{b.Other, "tcp", b.Host.At(8080), lab.TimedOut}, try{b.Other, "tcp", b.Host.At6(8080), lab.TimedOut})
			if how.name == "cut" && !strings.Contains(output, "ended 4 connections") {
				b.Errorf("--cut: %s, want 4: tcp and udp, IPv4 and IPv6", output)
			}
			open.close()
		}
	})
}

var anyOfOurs = regexp.MustCompile(`(?i)dockerfw|match-set`)

func TestRemoveRestoresTheHost(t *testing.T) {
	lab.Require(t, "conntrack")
	onEngines(t, func(b *bench) {
		web := b.web("8080:80/tcp", "5353:53/udp")
		all := append(b.published(8080, 5353), direct(web)...)
		saved := func(family int) string {
			// Counters differ, and engines end DOCKER-USER with a RETURN or not.
			text := b.engine.Tools.IPTablesSave(b.backend, family, "filter")
			text = regexp.MustCompile(`(?m)^#.*\n|\[\d+:\d+\]|^-A DOCKER-USER -j RETURN\n`).ReplaceAllString(text, "")
			return text
		}
		open := b.reached(b.Other, all)
		if open == "nothing" {
			b.Fatal("without rules the other client reaches nothing: the test would prove nothing")
		}
		before := map[int]string{4: saved(4), 6: saved(6)}
		for _, policy := range selected(b.T, 2, b.backend, []string{allowedOnly, ownChain}) {
			folder := b.folder("policy", policy)
			b.apply(folder)
			b.flushConntrack()
			if got := b.reached(b.Other, all); got != "nothing" {
				b.Errorf("loaded: the other client reaches %s", got)
			}
			output, err := b.dockerfw("remove")
			if err != nil || !strings.Contains(output, "removed:") {
				b.Fatalf("dockerfw remove: %v: %s", err, output)
			}
			if got := b.reached(b.Other, all); got != open {
				b.Errorf("the other client reaches %s after dockerfw remove, and %s before", got, open)
			}
			for family, text := range before {
				got := saved(family)
				if anyOfOurs.MatchString(got) {
					b.Errorf("left over for IPv%d:\n%s", family, got)
				}
				for line := range strings.Lines(got) {
					// Engines make these themselves; 20.10 does not for IPv6.
					if !strings.Contains(text, line) && line != ":DOCKER-USER - \n" && line != "-A FORWARD -j DOCKER-USER\n" {
						b.Errorf("IPv%d has a new line: %s", family, line)
					}
				}
				for line := range strings.Lines(text) {
					if !strings.Contains(got, line) {
						b.Errorf("IPv%d has lost a line: %s", family, line)
					}
				}
			}
			if sets := b.engine.Tools.IPSetSave(); sets != "" {
				b.Errorf("sets left over:\n%s", sets)
			}
			if state := b.engine.Tools.MustRun("ls", "/mnt/dockerfw-state"); state != "" {
				b.Errorf("files left over: %s", state)
			}
		}
		b.engine.Stop()
		b.engine.Start()
		if got := b.reached(b.Other, all); got != open {
			b.Errorf("the other client reaches %s after the restart of the engine, and %s before", got, open)
		}
	})
}
