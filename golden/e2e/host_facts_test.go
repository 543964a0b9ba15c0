//go:build linux

package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// dockerOnHost are the rules of an engine 20.10 that publishes port 8080 of the lab's container.
const dockerOnHost = `*nat
:DOCKER - [0:0]
-F PREROUTING
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination CONTAINER:80
COMMIT
*filter
:FORWARD DROP [0:0]
-A DOCKER -d CONTAINER ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
COMMIT
`

// ordinaryPolicy admits a client to the published port.
const ordinaryPolicy = `
host {
  external_interfaces = ["eth0"]
  internal_interfaces = ["eth1"]
}
ipset "clients" { entries = ["198.51.100.2", "2001:db8:1::2"] }
accept "web" {
  protocol        = "tcp"
  published_ports = [8080]
  source          = [ipset.clients]
}
`

// newOrdinaryHost is a lab whose host has an engine's rules and the policy, and no faults.
func newOrdinaryHost(t *testing.T, backend lab.Backend) (*publishing, *deployed) {
	t.Helper()
	s := newPublishing(t, backend)
	for family, container := range map[int]string{4: "172.17.0.2", 6: "fd00:17::2"} {
		text := strings.ReplaceAll(dockerOnHost, "CONTAINER:80", container+":80")
		if family == 6 {
			text = strings.ReplaceAll(dockerOnHost, "CONTAINER:80", "["+container+"]:80")
		}
		if err := s.host.IPTablesRestore(backend, family, strings.ReplaceAll(text, "CONTAINER", container)); err != nil {
			t.Fatal(err)
		}
	}
	p := compileFolder(t, "closed", ordinaryPolicy)
	if got := s.host.apply(p); got.code != 0 || strings.Contains(got.text, "warning: ") {
		t.Fatalf("apply: %d: %s", got.code, got.text)
	}
	s.host.expect(s.host.dockerfw("verify", p.dir), 0, "ok    interfaces", "ok    uplinks", "ok    IPv4 Docker", "ok    backend")
	if got := s.host.dockerfw("status"); got.code != 0 || strings.Contains(got.text, "warning ") {
		t.Fatalf("status: %d: %s", got.code, got.text)
	}
	s.reaches(true, "before")
	return s, p
}

// reaches fails the test unless the allowed client is served, or is not.
func (s *publishing) reaches(want bool, when string) {
	s.host.t.Helper()
	var wait sync.WaitGroup
	wait.Go(func() {
		if got := s.Allowed.Connect("tcp", s.Host.At(8080)); (got == lab.Answered) != want {
			s.host.t.Errorf("%s: the allowed client: %s", when, got)
		}
	})
	wait.Go(func() {
		if got := s.Other.Connect("tcp", s.Host.At(8080)); got == lab.Answered {
			s.host.t.Errorf("%s: the other client: %s", when, got)
		}
	})
	wait.Wait()
}

// Rules for a bridge that does not exist close nothing, which is reported after the load.
func TestAMisspeltBridgeOfContainersIsReported(t *testing.T) {
	t.Parallel()
	s, _ := newOrdinaryHost(t, lab.NFT)
	p := compileFolder(t, "misspelt", strings.Replace(ordinaryPolicy, "host {", "host {\n  container_interfaces = [\"docker7\"]", 1))
	const fault = "no interface of this host matches container_interfaces (docker7), so no traffic to containers is filtered. Docker's bridges are docker0"
	s.host.succeeds(p, nil, "warning: "+fault)
	if got, _ := s.Other.AskFor(lab.LongPatience, "tcp", s.Host.At(8080)); got != lab.Answered {
		t.Errorf("the other client: %s", got)
	}
	s.host.expect(s.host.dockerfw("verify", p.dir), 1, "FAIL  interfaces    "+fault)
	s.host.expect(s.host.dockerfw("status"), 0, "warning    "+fault)
}

// The next step that status shows is one that works.
func TestStatusShowsHowToLoadAgain(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	a := h.withPolicy("clients")
	h.rule(4, "-I", "DOCKER-USER", "1", "-s", "203.0.113.9", "-j", "DROP")
	h.expect(h.dockerfw("status"), 1, "next       dockerfw apply "+a.dir, "warning    chains that loading replaces contain rules that dockerfw did not create, so that apply refuses to load: -A DOCKER-USER -s 203.0.113.9/32 -j DROP.")
	h.rule(4, "-D", "DOCKER-USER", "1")
	h.rule(4, "-F", "DOCKER-USER")
	if err := os.Rename(a.dir, a.dir+".gone"); err != nil {
		t.Fatal(err)
	}
	got := h.dockerfw("status")
	_, command, _ := strings.Cut(got.text, "next       dockerfw apply ")
	folder, _, _ := strings.Cut(command, "\n")
	h.expect(got, 1, "DIFFERENT")
	h.expect(h.dockerfw("apply", folder), 0, "loaded "+folder)
	h.expect(h.dockerfw("rollback"), 1, "no change waits for confirmation: dockerfw status shows what is in force", "to return to an earlier version, load its folder: dockerfw apply FOLDER")
	h.expect(h.remove(), 0, "removed: no dockerfw rules remain")
	h.expect(h.remove(), 0, "nothing to remove: this host has no dockerfw rules")
}

// What other programs do to a host is what verify reports, and after a load, which does not fix it, what
// apply and status warn of.
func TestWhatOthersDoToAHostIsReported(t *testing.T) {
	t.Parallel()
	const restart = "Restart the engine, which creates its rules"
	cases := []struct {
		name string
		// run is a script in which iptables is that of the backend.
		run string
		// verify are the failed checks, and left the faults after a load; none means that it fixes all.
		verify, left []string
		// served: the allowed client is served after the load.
		served  bool
		onlyNFT bool
	}{
		{
			name:   "iptables -F",
			run:    "iptables -F",
			verify: []string{"FAIL  IPv4 rules ", "FAIL  IPv4 FORWARD  never reaches DOCKER-USER", "FAIL  IPv4 Docker   FORWARD does not jump to Docker's chains"},
			left:   []string{"IPv4 Docker: FORWARD does not jump to Docker's chains, so its policy applies to published ports and to packets from containers. " + restart},
		},
		{
			name:   "the policy of the security table",
			run:    "iptables -t security -P FORWARD DROP",
			verify: []string{"FAIL  IPv4 security -t security -P FORWARD DROP drops packets that the rules admit"},
			left:   []string{"IPv4 FORWARD: accept \"web\" has no effect: -t security -P FORWARD DROP drops its packets", "IPv4 security: -t security -P FORWARD DROP drops packets that the rules admit", "-t security -P FORWARD ACCEPT"},
		},
		{
			name:   "the drops of firewalld's panic mode",
			run:    "iptables -t security -I FORWARD -j DROP; iptables -t mangle -I PREROUTING -j DROP; iptables -t raw -I PREROUTING -j DROP",
			verify: []string{"FAIL  IPv4 FORWARD  accept \"web\" has no effect: -t raw -A PREROUTING -j DROP", "--    IPv4 INPUT    accept \"web\" has no effect", "FAIL  IPv4 security -t security -A FORWARD -j DROP, "},
			left:   []string{"IPv4 FORWARD: accept \"web\" has no effect: -t raw -A PREROUTING -j DROP", "IPv4 security: -t security -A FORWARD -j DROP, ", "It is a foreign rule"},
		},
		{
			name:   "an emptied set with a foreign entry",
			run:    "ipset flush clients; ipset add clients 203.0.113.5",
			verify: []string{"FAIL  sets          clients: 1 missing entry: 198.51.100.2, 1 unexpected entry: 203.0.113.5"},
			served: true,
		},
		{
			name: "nft flush ruleset", onlyNFT: true,
			run:    "nft flush ruleset",
			verify: []string{"FAIL  IPv4 rules ", "FAIL  IPv4 security the fallback rules are missing", "FAIL  IPv4 Docker   the bridge docker0 exists, but none of Docker's rules: docker-proxy answers for published ports. " + restart, "backend       neither Docker nor dockerfw has rules"},
			left:   []string{"IPv4 Docker: the bridge docker0 exists, but none of Docker's rules: docker-proxy answers for published ports. " + restart},
		},
		{
			name:   "a save from before dockerfw is restored",
			run:    "for t in filter security; do iptables -t $t -S | sed -n 's/^-N \\(DOCKERFW[^ ]*\\)$/\\1/p' | while read c; do iptables -t $t -F $c; done; done; iptables -D INPUT -j DOCKERFW-INPUT; iptables -t security -F; iptables -t security -X; iptables -F DOCKER-USER",
			verify: []string{"FAIL  IPv4 rules ", "FAIL  IPv4 INPUT ", "FAIL  IPv4 security the fallback rules are missing"},
			served: true,
		},
		{
			name:   "all tables are flushed, and FORWARD accepts",
			run:    "iptables -F; iptables -t nat -F; iptables -t mangle -F; iptables -P FORWARD ACCEPT",
			verify: []string{"FAIL  IPv4 Docker   FORWARD does not jump to Docker's chains"},
			left:   []string{"IPv4 Docker: FORWARD does not jump to Docker's chains"},
		},
		{
			name:   "Docker's nat rules are flushed",
			run:    "iptables -t nat -F",
			verify: []string{"FAIL  IPv4 Docker   the nat table has none of Docker's rules: docker-proxy answers for published ports, and its packets bypass FORWARD. " + restart},
			left:   []string{"IPv4 Docker: the nat table has none of Docker's rules: docker-proxy answers"},
		},
		{
			name:   "no connection tracking",
			run:    "iptables -t raw -A PREROUTING -i eth0 -j NOTRACK",
			verify: []string{"FAIL  IPv4 FORWARD  the raw table exempts packets from connection tracking (-t raw -A PREROUTING -i eth0 -j CT --notrack"},
			left:   []string{"IPv4 FORWARD: the raw table exempts packets from connection tracking (-t raw -A PREROUTING -i eth0 -j CT --notrack", "Docker does not translate them, and docker-proxy answers"},
		},
		{
			name:   "a drop in mangle",
			run:    "iptables -t mangle -A FORWARD -i eth0 -j DROP",
			verify: []string{"FAIL  IPv4 FORWARD  accept \"web\" has no effect: -t mangle -A FORWARD -i eth0 -j DROP"},
			left:   []string{"IPv4 FORWARD: accept \"web\" has no effect: -t mangle -A FORWARD -i eth0 -j DROP"},
		},
		{
			name:   "a drop in an nft table of its own",
			run:    "nft add table inet x; nft 'add chain inet x f { type filter hook forward priority -5; }'; nft add rule inet x f iifname eth0 drop",
			verify: []string{"FAIL  IPv4 FORWARD  accept \"web\" has no effect: table nft inet x, chain f: iifname eth0 drop drops its packets"},
			left:   []string{"IPv4 FORWARD: accept \"web\" has no effect: table nft inet x, chain f: iifname eth0 drop drops its packets"},
		},
		{
			name:   "a rule ahead that accepts",
			run:    "iptables -I FORWARD -i eth0 -p udp -j ACCEPT",
			verify: nil, // the fallback rules drop what it admits; a load goes ahead of it
			served: true,
		},
		{
			name:   "the policy of FORWARD, without Docker's accepts",
			run:    "iptables -F DOCKER",
			verify: []string{"FAIL  IPv4 Docker   Docker publishes port 8080 for 172.17.0.2:80, but no rule accepts its packets: the policy of FORWARD drops them. Restart the engine"},
			left:   []string{"IPv4 Docker: Docker publishes port 8080 for 172.17.0.2:80, but no rule accepts its packets"},
			served: true, // the accept of the policy ends the table
		},
		{
			name:   "the unlisted interface comes up",
			run:    "ip link add mv0 link eth0 type macvlan mode bridge; ip address add 192.0.2.1/24 dev mv0; ip link set mv0 up",
			verify: []string{"FAIL  uplinks       mv0 has the address 192.0.2.1/24, and external_interfaces does not list mv0"},
			left:   []string{"mv0 has the address 192.0.2.1/24, and external_interfaces does not list mv0: published ports are open to everyone who can reach them there"},
			served: true,
		},
	}
	for _, backend := range lab.Backends {
		for _, c := range selected(t, 2, backend, cases) {
			if c.onlyNFT && backend != lab.NFT {
				continue
			}
			t.Run(string(backend)+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				s, p := newOrdinaryHost(t, backend)
				s.host.MustRun("env", "PATH="+s.host.path("bin")+":"+os.Getenv("PATH"), "sh", "-c", c.run)
				code := 0
				if c.verify != nil {
					code = 1
				}
				s.host.expect(s.host.dockerfw("verify", p.dir), code, c.verify...)
				s.host.expect(s.host.dockerfw("apply", p.dir, "--dry-run"), 0, warned(c.left, "warning: ")...)
				got := s.host.apply(p)
				s.host.expect(got, 0, warned(c.left, "warning: ")...)
				if c.left == nil && strings.Contains(got.text, "warning: ") {
					t.Errorf("apply: %s", got.text)
				}
				s.host.expect(s.host.dockerfw("status"), 0, append(warned(c.left, "warning    "), "in force, exactly as compiled")...)
				s.reaches(c.served, "after loading")
			})
		}
	}
}

// warned are the first of some faults as a warning, and the others.
func warned(faults []string, before string) []string {
	out := []string{}
	for i, f := range faults {
		if i == 0 || strings.HasPrefix(f, "IPv") {
			f = before + f
		}
		out = append(out, f)
	}
	return out
}

// The JSON of each command has the same facts.
func TestFactsAreInTheJSONOfEachCommand(t *testing.T) {
	t.Parallel()
	s, p := newOrdinaryHost(t, lab.NFT)
	ip(t, s.Host.Namespace, "link add link eth0 name mv0 type macvlan mode bridge", "address add 192.0.2.1/24 dev mv0")
	for name, args := range map[string][]string{
		"verify": {"verify", p.dir}, "apply": {"apply", p.dir}, "status": {"status"},
		"diff": {"diff", "live", p.dir}, "explain": {"explain", "live", "--from", "198.51.100.3", "--to-port", "8080"},
	} {
		stdout, _, _ := s.host.Run(s.host.command(append(args, "--format", "json")...)...)
		if !json.Valid([]byte(stdout)) {
			t.Fatalf("%s: %s", name, stdout)
		}
		word := `"name": "uplinks"`
		if name == "verify" {
			word = `"check": "uplinks"`
		}
		for _, w := range []string{word, `"ok": false`, `"status": "warning"`, `"text": "mv0 has the address 192.0.2.1/24`} {
			if !strings.Contains(stdout, w) {
				t.Errorf("%s lacks %s:\n%s", name, w, stdout)
			}
		}
	}
}
