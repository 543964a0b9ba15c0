//go:build linux

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// jail bans by a chain of its own, to which a jump at the head of DOCKER-USER leads.
const jail = `
[web]
enabled  = true
backend  = polling
filter   = sshd
logpath  = /var/log/web.log
bantime  = 1h
ignoreself = false
action   = iptables-allports[name=web, chain=DOCKER-USER]
`

// requireBanned fails the test unless the allowed client is banned, and the other client is not.
func (b *bench) requireBanned(when string) {
	b.Helper()
	if got := b.reached(b.Allowed, b.publishedBySeveral(443, 5432)); got != "nothing" {
		b.Errorf("%s: the banned client reaches %s", when, got)
	}
	b.requireOpenToAll(when)
}

// banned are policies for a host with bans: the second has other sets, chains and rules.
var banned = []string{besidePolicy, ownChain + "\naccept \"https\" {\n  protocol = \"tcp\"\n  published_ports = [443]\n}\n"}

func TestBansOfFail2banSurvive(t *testing.T) {
	besideFirewalls(t, func(b *bench) {
		b.engine.WriteFile("/etc/fail2ban/jail.d/defaults-debian.conf", "", 0o644)
		b.engine.WriteFile("/etc/fail2ban/jail.local", jail, 0o644)
		b.engine.WriteFile("/mnt/log/web.log", "", 0o644)
		b.engine.Start()
		b.publishedWeb()
		b.apply(b.bootFolder(banned[0]))
		// The engine creates no jump to DOCKER-USER for IPv6; dockerfw does.
		b.engine.StartService("fail2ban", nil, "fail2ban-server", "-xf", "start")
		b.run("sh", "-c", "until fail2ban-client status web; do sleep 0.1; done")
		b.requireReachable("before the ban", b.publishedBySeveral(443))
		b.run("fail2ban-client", "set", "web", "banip", "198.51.100.2", "2001:db8:1::2")
		b.requireBanned("banned")

		b.apply(b.folder("second", banned[1]))
		b.requireBanned("another policy loaded")
		b.apply("/etc/dockerfw", "--force")
		b.requireBanned("loaded with --force")
		b.run("dockerfw", "apply", "--boot", "/etc/dockerfw")
		b.requireBanned("loaded as at boot")
		b.waitFor("banned")
		// Engine 20.10 puts its IPv6 rules ahead of the jump to DOCKER-USER, until dockerfw moves it.
		b.engine.Stop()
		b.engine.Start()
		if got := b.reached(b.Allowed, []endpoint{{"tcp", b.Host.At(443)}, {"tcp", b.Host.At(5432)}}); got != "nothing" {
			b.Errorf("the engine restarted: the banned client reaches %s", got)
		}
		b.apply("/etc/dockerfw")
		b.requireBanned("the engine restarted, and loaded again")

		// A policy that replaces DOCKER-USER refuses to delete the ban.
		output, err := b.tryApply(b.folder("replacing", strings.Replace(banned[0], `"jump"`, `"replace"`, 1)))
		if err == nil || !strings.Contains(output, "-j f2b-web") {
			b.Errorf("a policy that replaces DOCKER-USER was loaded, or the ban is not named: %v\n%s", err, output)
		}
		b.requireBanned("not replaced")
		b.run("fail2ban-client", "set", "web", "unbanip", "198.51.100.2", "2001:db8:1::2")
		b.requireReachable("unbanned", b.publishedBySeveral(443))
	})
}

// bouncerPolicy drops the addresses in the sets that CrowdSec's bouncer fills.
const bouncerPolicy = `
ipset "crowdsec-blacklists" {
  managed   = false
  ipv6_name = "crowdsec6-blacklists"
  timeout   = 300
}
deny "crowdsec" {
  source = [ipset.crowdsec-blacklists]
}
`

const bouncerConfiguration = `
mode: MODE
pid_dir: /var/run/
update_frequency: 1s
daemonize: false
log_mode: stdout
log_level: info
api_url: http://127.0.0.1:8080/
api_key: any
disable_ipv6: false
deny_action: DROP
supported_decisions_types: [ban]
blacklists_ipv4: crowdsec-blacklists
blacklists_ipv6: crowdsec6-blacklists
ipset_type: nethash
iptables_chains: [DOCKER-USER]
`

// decision is one of CrowdSec's local API.
type decision struct {
	ID       int    `json:"id"`
	Origin   string `json:"origin"`
	Type     string `json:"type"`
	Scope    string `json:"scope"`
	Value    string `json:"value"`
	Duration string `json:"duration"`
	Scenario string `json:"scenario"`
}

// localAPI answers the bouncer as CrowdSec does, with what was added since the last question.
type localAPI struct {
	mu       sync.Mutex
	all, new []decision
	deleted  []decision
}

func (l *localAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	answer := map[string][]decision{"new": l.new, "deleted": l.deleted}
	if r.URL.Query().Get("startup") == "true" {
		answer = map[string][]decision{"new": l.all, "deleted": nil}
	}
	l.new, l.deleted = nil, nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// ban changes the decisions: none for no addresses.
func (l *localAPI) ban(addresses ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deleted, l.all = l.all, nil
	for i, address := range addresses {
		l.all = append(l.all, decision{i + 1, "cscli", "ban", "Ip", address, "1h0m0s", "manual"})
	}
	l.new = l.all
}

func TestBansOfCrowdSecSurvive(t *testing.T) {
	besideFirewalls(t, func(b *bench) {
		api := &localAPI{}
		listener := b.Host.Listen("tcp", "127.0.0.1:8080")
		go http.Serve(listener, api) //nolint:gosec // it ends with the listener
		b.engine.Start()
		b.publishedWeb()

		// With mode: ipset, dockerfw has the rules and creates the sets.
		b.apply(b.bootFolder(besidePolicy + bouncerPolicy))
		b.startBouncer("ipset")
		b.requireReachable("before the ban", b.publishedBySeveral(443))
		api.ban("198.51.100.2", "2001:db8:1::2")
		b.waitForBan()
		b.requireBanned("banned in dockerfw's sets")
		b.apply(b.folder("second", banned[1]+bouncerPolicy))
		b.requireBanned("another policy loaded")
		b.apply("/etc/dockerfw", "--force")
		b.requireBanned("loaded with --force")
		b.waitFor("banned in dockerfw's sets")
		b.engine.Stop()
		b.engine.Start()
		b.requireBanned("the engine restarted")
		b.engine.StopService("bouncer")

		// With mode: iptables, the bouncer has rules and sets of its own.
		b.apply(b.folder("without", besidePolicy))
		b.run("sh", "-c", "ipset destroy crowdsec-blacklists; ipset destroy crowdsec6-blacklists; true")
		b.startBouncer("iptables")
		b.waitForBan()
		b.requireBanned("banned in DOCKER-USER")
		b.apply(b.folder("second", banned[1]))
		b.requireBanned("another policy loaded, beside the bouncer's rules")
		b.apply(b.folder("without", besidePolicy), "--force")
		b.requireBanned("loaded with --force, beside the bouncer's rules")
		api.ban()
		b.waitUntil("the ban is over", func() bool { return b.reached(b.Allowed, b.publishedBySeveral(443)) != "nothing" })
	})
}

func (b *bench) startBouncer(mode string) {
	b.Helper()
	b.engine.WriteFile("/etc/crowdsec/bouncers/test.yaml", strings.Replace(bouncerConfiguration, "MODE", mode, 1), 0o600)
	b.engine.StartService("bouncer", nil, "crowdsec-firewall-bouncer", "-c", "/etc/crowdsec/bouncers/test.yaml")
}

func (b *bench) waitForBan() {
	b.Helper()
	b.waitUntil("the client is banned", func() bool { return b.reached(b.Allowed, b.publishedBySeveral(443)) == "nothing" })
}

func (b *bench) waitUntil(what string, holds func() bool) {
	b.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			b.Fatalf("not within 30 seconds: %s\n%s", what, b.engine.ReadFile("/mnt/log/bouncer.log"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}
