//go:build linux

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab/nftpolicy"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// onEnginesWithTable runs a test of the target nftables beside real engines, whose own rules are in
// the tables of iptables of each backend.
func onEnginesWithTable(t *testing.T, test func(*bench)) {
	onEngines(t, func(b *bench) {
		b.table = true
		test(b)
	})
}

// The table is what admits and refuses: the engine's chains have no rule of dockerfw.
func (b *bench) requireOnlyTheTable() {
	b.Helper()
	for _, family := range []int{4, 6} {
		if rules := b.engine.Tools.IPTablesSave(b.backend, family, "filter"); strings.Contains(rules, "dockerfw") {
			b.Errorf("iptables has rules of dockerfw:\n%s", rules)
		}
	}
	if table := b.engine.Tools.MustRun("nft", "list", "table", "inet", "dockerfw"); !strings.Contains(table, "dockerfw default") {
		b.Errorf("the table has no rules:\n%s", table)
	}
}

func TestATableAdmitsOnlyAllowedClients(t *testing.T) {
	onEnginesWithTable(t, func(b *bench) {
		onlyAllowedClientsReachPublishedPorts(b)
		b.requireOnlyTheTable()
	})
}

func TestATableAdmitsDifferentClientsToTwoPublishedPorts(t *testing.T) {
	onEnginesWithTable(t, twoPublishedPortsAdmitDifferentClients)
}

func TestATableEndsSessionsUnderRecheckAndNotUnderKeep(t *testing.T) {
	onEnginesWithTable(t, aRevokedClientLosesItsSessions)
}

func TestATableBlocksEgress(t *testing.T) {
	onEnginesWithTable(t, anEgressDenyBlocksOnlyWhatItMatches)
}

func TestReloadsOfATableInterruptNoConnectionAndAdmitNoOtherClient(t *testing.T) {
	n := testenv.Reloads(t)
	onEnginesWithTable(t, func(b *bench) { b.reload(n) })
}

// A host gets from rules of iptables to the table and back, under load: no connection is interrupted,
// and nobody else gets in.
func TestAHostChangesItsTargetWithoutAnOpenMoment(t *testing.T) {
	onEngines(t, func(b *bench) {
		web := b.web("8080:80/tcp", "5353:53/udp")
		table := b.folder("table", nftpolicy.Text(allowedOnly+sshForAllowed))
		rules := b.folder("rules", allowedOnly+sshForAllowed)
		b.Host.Serve("22/tcp")
		ssh := []endpoint{{"tcp", b.Host.At(22)}, {"tcp", b.Host.At6(22)}}
		b.apply(rules)
		allowed := b.startLoad(slices.Concat(b.published(8080, 5353), ssh))
		other := b.startProbes(slices.Concat(b.published(8080, 5353), direct(web), ssh))
		for range 3 {
			b.apply(table)
			b.requireOnlyTheTable()
			b.apply(rules)
			if listed := b.engine.Tools.MustRun("nft", "list", "tables"); strings.Contains(listed, "inet dockerfw") {
				b.Errorf("the table is left:\n%s", listed)
			}
		}
		b.requireAllAnswered("changes of the target", allowed)
		b.requireNoneAnswered("changes of the target", other)
	})
}

// The table protects while an engine starts, stops and makes networks, whatever iptables has.
func TestATableProtectsWhileEnginesRestart(t *testing.T) {
	onHosts(t, withoutProxy, func(b *bench) {
		b.table = true
		b.load(allowedOnly)
		b.engine.Start()
		web := b.web("8080:80/tcp", "5353:53/udp")
		other := b.startProbes(append(b.published(8080, 5353), direct(web)...))
		b.engine.CreateNetwork("app", "10.201.0.0/24", "fd00:201::/64")
		b.engine.Stop()
		b.engine.Start()
		for _, family := range []int{4, 6} {
			// What other programs do to iptables does not matter.
			for _, args := range [][]string{{"-P", "FORWARD", "ACCEPT"}, {"-F", "FORWARD"}, {"-F", "DOCKER-USER"}} {
				_ = b.engine.Tools.IPTables(b.backend, family, args...) // 20.10 has no DOCKER-USER for IPv6
			}
		}
		time.Sleep(200 * time.Millisecond)
		b.requireNoneAnswered("restarts and flushed chains", other)
	})
}
