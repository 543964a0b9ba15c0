//go:build linux

package e2e

import (
	"sync"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

func TestARateLimitsOnlyNewConnections(t *testing.T) {
	t.Parallel()
	for _, sessions := range []string{"keep", "recheck"} {
		t.Run(sessions, func(t *testing.T) {
			onEngines(t, func(b *bench) {
				b.web("8080:80/tcp", "8081:80/tcp")
				b.load(`
host {
  external_interfaces = ["eth0"]
}
established {
  sessions = "` + sessions + `"
}
accept "web" {
  protocol        = "tcp"
  published_ports = [8080, 8081]
  rate {
    limit = "2/minute"
    burst = 3
  }
}
`)
				session := b.Allowed.OpenSession("tcp", b.Host.At(8080))
				// The burst is for both ports together, and each source has its own.
				answered := b.answered(b.Allowed, b.Host.At(8081), 6)
				if answered < 2 || answered > 3 {
					t.Errorf("%d of 6 connections answered beside an open one, want 2: burst 3 and 2 a minute", answered)
				}
				if got := b.answered(b.Other, b.Host.At(8080), 2); got != 2 {
					t.Errorf("%d of 2 connections of another source answered, want 2", got)
				}
				// More packets than the limit, in the accepted connection.
				for range 20 {
					if got := session.Ping(); got != lab.Answered {
						t.Fatalf("a packet of an accepted connection: %s", got)
					}
				}
			})
		})
	}
}

// By default the kernel forgets a count after one unit of the rate, and the whole burst is
// available again. The compiled rules set a longer expiry.
func TestAPauseDoesNotRestoreTheWholeBurst(t *testing.T) {
	onEngines(t, func(b *bench) {
		b.web("8080:80/tcp")
		b.load(`
host {
  external_interfaces = ["eth0"]
}
deny "flood" {
  protocol        = "tcp"
  published_ports = [8080]
  rate {
    limit = "60/minute"
    burst = 20
  }
}
accept "web" {
  protocol        = "tcp"
  published_ports = [8080]
}
`)
		if got := b.answered(b.Allowed, b.Host.At(8080), 20); got != 20 {
			b.Errorf("%d of the 20 connections of the burst answered", got)
		}
		time.Sleep(3 * time.Second) // the kernel refills the burst with time: there is no event to wait for
		// One a second is regained, in the pause and while clients try again.
		if got := b.answered(b.Allowed, b.Host.At(8080), 20); got < 2 || got > 10 {
			b.Errorf("%d of 20 connections answered after a pause of 3 seconds, want about 5", got)
		}
	})
}

// answered makes n connections at once and counts those that are answered.
func (b *bench) answered(from *lab.Node, to string, n int) int {
	var wait sync.WaitGroup
	results := make([]lab.Result, n)
	for i := range n {
		wait.Go(func() { results[i] = from.Connect("tcp", to) })
	}
	wait.Wait()
	count := 0
	for _, r := range results {
		if r == lab.Answered {
			count++
		}
	}
	return count
}

func TestConnectionsLimitsTheOpenConnectionsOfASource(t *testing.T) {
	onEngines(t, func(b *bench) {
		b.web("8080:80/tcp")
		b.load(`
host {
  external_interfaces = ["eth0"]
}
established {
  sessions = "recheck"
}
accept "web" {
  protocol        = "tcp"
  published_ports = [8080]
  connections {
    max = 2
  }
}
`)
		first := b.Allowed.OpenSession("tcp", b.Host.At(8080))
		second := b.Allowed.OpenSession("tcp", b.Host.At(8080))
		b.expect("two are open",
			try{b.Allowed, "tcp", b.Host.At(8080), lab.TimedOut},
			try{b.Other, "tcp", b.Host.At(8080), lab.Answered},
			try{b.Allowed, "tcp", b.Host.At6(8080), lab.Answered},
		)
		for _, s := range []*lab.Session{first, second} {
			if got := s.Ping(); got != lab.Answered {
				t.Errorf("an open session: %s", got)
			}
		}
		second.Close()
		deadline := time.Now().Add(10 * time.Second)
		for b.Allowed.Connect("tcp", b.Host.At(8080)) != lab.Answered {
			if time.Now().After(deadline) {
				t.Fatal("one of two connections is closed, but no new one is accepted")
			}
		}
	})
}
