//go:build linux

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/golden/lab"
)

// tableLimits sends new connections through the table of a policy with a limit.
type tableLimits struct {
	*testing.T
	router *lab.Router
	policy *policy
	// port is the source port of the next packet: each is of a connection of its own.
	port uint16
}

// compile replaces the policy, which begins after the host block.
func (l *tableLimits) compile(sessions, text string) {
	l.Helper()
	p, ok := compilePolicy(l, l.TempDir(), "host {\n  external_interfaces = [\"eth0\"]\n  target = \"nftables\"\n}\nestablished {\n  sessions = \""+sessions+"\"\n}\n"+text)
	if !ok {
		l.Fatalf("the policy has errors:\n%s", text)
	}
	l.policy = p
}

// load loads the table, for forwarded packets or for those to the host.
func (l *tableLimits) load(chain string) {
	l.Helper()
	l.policy.loadTable(l, l.router, chain)
}

func (l *tableLimits) remove() {
	l.policy.loadNFT(l, l.router, l.policy.files[folder.NFTRemoval])
}

// expect sends one packet of each client, in one batch, and compares how many are let through. A client is the end of
// an address of the family, with another port after a colon.
func (l *tableLimits) expect(what string, f ir.Family, state ir.CTState, toHost bool, port uint16, clients string, want int) {
	l.Helper()
	var packets []packet.Packet
	for _, client := range strings.Fields(clients) {
		l.port++
		client, other, hasPort := strings.Cut(client, ":")
		to := port
		if hasPort {
			number, err := strconv.ParseUint(other, 10, 16)
			if err != nil {
				l.Fatal(err)
			}
			to = uint16(number)
		}
		q := endPacket(f, client, to, toHost)
		q.SourcePort, q.State = 40000+l.port, state
		q.Complete()
		packets = append(packets, q)
	}
	verdicts, err := l.router.Send(packets)
	if err != nil {
		l.Fatal(err)
	}
	got := 0
	for _, v := range verdicts {
		if v.Kind == packet.Accept || v.Kind == packet.Docker {
			got++
		}
	}
	if got != want {
		l.Errorf("%s: %d of %d packets pass, want %d: %v", what, got, len(packets), want, verdicts)
	}
}

// onTable runs a test with sessions "keep" and "recheck".
func onTable(t *testing.T, test func(l *tableLimits, sessions string)) {
	t.Parallel()
	r := lab.NewTableRouter(t)
	for _, sessions := range []string{"keep", "recheck"} {
		t.Run(sessions, func(t *testing.T) {
			l := &tableLimits{T: t, router: r}
			test(l, sessions)
			l.remove()
		})
	}
}

// six is six connections of a client.
func six(client string) string { return strings.Repeat(client+" ", 6) }

// Each source has a count for all ports of a rule, which survives a reload and is the same for forwarded packets and for
// those to docker-proxy. A new limit begins with new counts. Established connections are not limited.
func TestATableLimitsTheRateOfEachSource(t *testing.T) {
	onTable(t, func(l *tableLimits, sessions string) {
		policy := func(burst int) string {
			return fmt.Sprintf("accept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [80, 443]\n  rate {\n    limit = \"2/hour\"\n    burst = %d\n  }\n}\n", burst)
		}
		l.compile(sessions, policy(3))
		l.load(ir.NFTForward)
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			l.expect("a burst", f, ir.CTNew, false, 443, "9 9", 2)
			l.expect("the rest of it at another port", f, ir.CTNew, false, 80, six("9"), 1)
			l.expect("another source", f, ir.CTNew, false, 443, six("10"), 3)
			l.expect("established connections", f, ir.CTEstablished, false, 443, six("9"), 6)
		}
		l.load(ir.NFTForward)
		l.expect("after a reload", ir.IPv4, ir.CTNew, false, 443, six("9"), 0)
		l.expect("after a reload", ir.IPv6, ir.CTNew, false, 443, six("9"), 0)
		l.load(ir.NFTInput)
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			l.expect("to docker-proxy, with the count of forwarded packets", f, ir.CTNew, true, 443, six("9"), 0)
			l.expect("to docker-proxy", f, ir.CTNew, true, 443, six("11"), 3)
			l.expect("an established connection to docker-proxy", f, ir.CTEstablished, true, 443, six("9"), 6)
		}
		l.compile(sessions, policy(4))
		l.load(ir.NFTForward)
		l.expect("with another limit", ir.IPv4, ir.CTNew, false, 443, six("9"), 4)
	})
}

// A deny refuses what is above its limit; with per = "rule" all sources share a count. With nft both families share it,
// too, and each base chain has its own.
func TestATableLimitsTheRateOfARule(t *testing.T) {
	onTable(t, func(l *tableLimits, sessions string) {
		l.compile(sessions, `
deny "flood" {
  protocol        = "tcp"
  published_ports = [80, 443]
  rate {
    limit = "2/hour"
    burst = 3
    per   = "rule"
  }
}
accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
}
`)
		l.load(ir.NFTForward)
		l.expect("several sources", ir.IPv4, ir.CTNew, false, 443, "9 10", 2)
		l.expect("the other port and family", ir.IPv6, ir.CTNew, false, 80, "9 10 11", 1)
		l.expect("several sources", ir.IPv4, ir.CTNew, false, 443, "12 13", 0)
		l.expect("established connections", ir.IPv4, ir.CTEstablished, false, 443, six("9"), 6)
		l.load(ir.NFTInput)
		l.expect("to docker-proxy", ir.IPv4, ir.CTNew, true, 443, "9 10", 2)
		l.expect("the other port and family to docker-proxy", ir.IPv6, ir.CTNew, true, 80, "9 10 11", 1)
	})
}

// An accept with sources of both families has one count for forwarded packets, and one for each of its sets of sources for
// packets to docker-proxy.
func TestATableLimitsTheRateOfAnAcceptWithSources(t *testing.T) {
	onTable(t, func(l *tableLimits, sessions string) {
		l.compile(sessions, `
ipset "a" { entries = ["192.0.2.8/29", "2001:db8::/120"] }
accept "web" {
  protocol        = ["tcp", "udp"]
  published_ports = [80, 443]
  source          = [ipset.a, "192.0.2.9", "192.0.2.200"]
  rate {
    limit = "2/hour"
    burst = 3
    per   = "rule"
  }
}
`)
		l.load(ir.NFTForward)
		l.expect("addresses of both sources", ir.IPv4, ir.CTNew, false, 443, "9 200:80", 2)
		l.expect("the other family", ir.IPv6, ir.CTNew, false, 80, "9 10 11", 1)
		l.expect("another address", ir.IPv4, ir.CTNew, false, 443, "12 13", 0)
		l.load(ir.NFTInput)
		l.expect("addresses of both sources to docker-proxy", ir.IPv4, ir.CTNew, true, 443, "9 9 9 9 10 11 12 13", 6)
		l.expect("the other family to docker-proxy", ir.IPv6, ir.CTNew, true, 443, six("9"), 3)
	})
}

// Open connections are counted for each prefix: an accept does not match more than its maximum, a deny matches those
// above it. Established connections are counted and not refused.
func TestATableLimitsConnectionsOfAPrefix(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"accept", "deny"} {
		t.Run(kind, func(t *testing.T) {
			onTable(t, func(l *tableLimits, sessions string) {
				policy := kind + ` "many" {
  protocol        = "tcp"
  published_ports = [80, 443]
  connections {
    max           = 2
    per_prefix_v4 = 30
    per_prefix_v6 = 124
  }
}
`
				if kind == "deny" {
					policy += "accept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [80, 443]\n}\n"
				}
				l.compile(sessions, policy)
				for chain, toHost := range map[string]bool{ir.NFTForward: false, ir.NFTInput: true} {
					l.load(chain)
					for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
						l.expect(chain+": one prefix at two ports", f, ir.CTNew, toHost, 443, "4 5:80 6 7:80", 2)
						// .3 and .4 are in two prefixes of IPv4; ::f and ::10 are in two of IPv6.
						clients := "3 4 3 4 3 4"
						if f == ir.IPv6 {
							clients = "f 10 f 10 f 10"
						}
						l.expect(chain+": two prefixes", f, ir.CTNew, toHost, 443, clients, 4)
						l.expect(chain+": established connections", f, ir.CTEstablished, toHost, 443, six("4"), 6)
					}
				}
			})
		})
	}
}

// Rules end as with target iptables, whatever the time zone in which the table was loaded.
func TestRulesOfATableEndOnTheHost(t *testing.T) {
	t.Parallel()
	r := lab.NewTableRouter(t)
	end := time.Now().Truncate(time.Second).Add(untilEnd).UTC()
	policy := strings.Replace(fmt.Sprintf(endsPolicy, end.Format(time.RFC3339)), "host {\n", "host {\n  target = \"nftables\"\n", 1)
	p, ok := compilePolicy(t, t.TempDir(), policy)
	if !ok {
		t.Fatal("the policy has errors")
	}
	same := func(v packet.Verdict) packet.Verdict { return v }
	send := func(to time.Time, holds bool) {
		t.Helper()
		for chain, toHost := range map[string]bool{ir.NFTForward: false, ir.NFTInput: true} {
			p.loadTable(t, r, chain)
			for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
				p.atTime(t, r, f, chain, toHost, to, end, holds, same)
			}
		}
	}
	send(end.Add(-time.Second), true)
	p.loadTable(t, r, ir.NFTForward)
	time.Sleep(time.Until(end.Add(-950 * time.Millisecond)))
	p.atTime(t, r, ir.IPv4, ir.NFTForward, false, end, end, true, same)
	time.Sleep(time.Until(end.Add(50 * time.Millisecond)))
	send(end.Add(time.Hour), false)
}

// Denied packets, and the first packets of accepted connections, are logged.
func TestATableLogsPackets(t *testing.T) {
	t.Parallel()
	lab.Require(t, "tcpdump")
	l := &tableLimits{T: t, router: lab.NewTableRouter(t)}
	l.compile("recheck", `
deny "other" {
  source = ["192.0.2.8", "2001:db8::8"]
  log {
    nflog_group = 5
  }
}
accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
  log {
    nflog_group = 5
  }
}
`)
	l.load(ir.NFTForward)
	type output struct {
		text string
		err  error
	}
	listened := make(chan output, 1)
	go func() {
		text, stderr, err := l.router.Run("timeout", "10", "tcpdump", "-n", "-l", "-c", "6", "-i", "nflog:5")
		listened <- output{text + stderr, err}
	}()
	var got output
	for done := false; !done; {
		l.expect("established", ir.IPv4, ir.CTEstablished, false, 443, "7", 1)
		l.expect("accepted", ir.IPv6, ir.CTNew, false, 443, "9", 1)
		l.expect("denied", ir.IPv4, ir.CTNew, false, 443, "8", 0)
		select {
		case got = <-listened:
			done = true
		default:
		}
	}
	for source, logged := range map[string]bool{"192.0.2.8.": true, "2001:db8::9.": true, "192.0.2.7.": false} {
		if strings.Contains(got.text, "IP "+source) != logged && strings.Contains(got.text, "IP6 "+source) != logged {
			t.Errorf("packets of %s are logged: %t, want %t", source, !logged, logged)
		}
	}
	if t.Failed() || got.err != nil {
		t.Errorf("%v\n%s", got.err, got.text)
	}
}
