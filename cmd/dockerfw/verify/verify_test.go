package verify

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

func open(t *testing.T, name string) *snapshot.Host {
	t.Helper()
	opened, diags, err := snapshot.Open(name, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return opened.Hosts[0]
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

const policy = `
host {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
  install             = "INSTALL"
}
ipset "clients" { entries = ["192.0.2.10", "198.51.100.0/24"] }
ipset "bans" { managed = false }
deny "banned" { source = [ipset.bans] }
accept "https" {
  protocol        = "tcp"
  container_ports = [443]
}
default { allow = [ipset.clients] }
`

const (
	established = `-A CHAIN -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j PASS` + "\n"
	banned      = `-A CHAIN -i eth0 -m set --match-set bans src -m comment --comment "dockerfw deny banned" -j DROP` + "\n"
	https       = `-A CHAIN -i eth0 -p tcp -m tcp --dport 443 -m comment --comment "dockerfw accept https" -j PASS` + "\n"
	standard    = `-A CHAIN -i eth0 -m set ! --match-set clients src -m comment --comment "dockerfw default" -j DROP` + "\n"
	jump        = "-A FORWARD -j DOCKER-USER\n"
	savedRules  = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n" +
		jump + established + banned + https + standard + "COMMIT\n"
	savedSets = "create clients hash:net family inet hashsize 1024 maxelem 1048576\nadd clients 192.0.2.10\nadd clients 198.51.100.0/24\n" +
		"create bans hash:net family inet hashsize 1024 maxelem 65536\nadd bans 203.0.113.5\n"
)

// What an engine creates: its chain, the jump to it, and the nat table.
const (
	dockerRules = ":DOCKER - [0:0]\n-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT\n"
	forDocker   = "-A FORWARD -o docker0 -j DOCKER\n"
	natRules    = "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n" +
		"-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\nCOMMIT\n"
)

// fallback is the security table as it is loaded, with some rules after those that every host has.
func fallback(rules string) string {
	text := "*security\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKERFW - [0:0]\n-A FORWARD -j DOCKERFW\n" + established + banned + rules + "COMMIT\n"
	return strings.NewReplacer("CHAIN", "DOCKERFW", "PASS", "RETURN").Replace(text)
}

// fault is a fault of a host, as replacements in its rules and sets, which are pairs, and the
// failed checks.
type fault struct {
	name        string
	rules, sets []string
	want        []string
}

// broken are faults of a host.
var broken = []fault{
	{"nothing", nil, nil, nil},
	{
		"the jump is missing",
		[]string{jump, ""},
		nil,
		[]string{"IPv4 FORWARD: never reaches CHAIN"},
	},
	{
		"neither rules nor jump", // missing rules refuse nothing, and still no packet gets there
		[]string{jump, "", established, "", banned, "", https, "", standard, ""},
		nil,
		[]string{"IPv4 rules: chain CHAIN has none of its 4 rules", "IPv4 FORWARD: never reaches CHAIN"},
	},
	{
		"a rule is missing",
		[]string{https, ""},
		nil,
		[]string{`IPv4 rules: chain CHAIN lacks 1 rule: -i eth0 -p tcp -m tcp --dport 443`},
	},
	{
		"a rule of another version",
		[]string{"443", "8443"},
		nil,
		[]string{`IPv4 rules: chain CHAIN lacks 1 rule (-i eth0 -p tcp`},
	},
	{
		"a rule too many",
		[]string{https, https + strings.Replace(https, "443", "8443", 1)},
		nil,
		[]string{`IPv4 rules: chain CHAIN has 1 rule of another version: -i eth0 -p tcp`},
	},
	{
		"two rules of another version",
		[]string{"443", "8443", "--match-set bans src", "--match-set bans dst"},
		nil,
		[]string{"IPv4 rules: chain CHAIN lacks 2 rules (such as -i eth0 -m set --match-set bans src"},
	},
	{
		"two rules too many",
		[]string{https, https + strings.Replace(https, "443", "8443", 1) + strings.Replace(https, "443", "8444", 1)},
		nil,
		[]string{`IPv4 rules: chain CHAIN has 2 rules of another version, such as -i eth0 -p tcp -m tcp --dport 8443`},
	},
	{
		"loaded twice",
		[]string{standard, standard + standard},
		nil,
		[]string{"IPv4 rules: chain CHAIN has duplicate rules: 5 instead of 4"},
	},
	{
		"another order",
		[]string{established + banned, banned + established},
		nil,
		[]string{"IPv4 rules: chain CHAIN has its rules in another order", `IPv4 order: chain CHAIN: "dockerfw deny banned" of phase deny`},
	},
	{
		"a rule before",
		[]string{jump, "-A FORWARD -s 203.0.113.0/24 -j ACCEPT\n" + jump},
		nil,
		[]string{"IPv4 FORWARD: a rule before CHAIN admits packets that its rules refuse: -A FORWARD -s 203.0.113.0/24 -j ACCEPT"},
	},
	{
		"a rule before in a chain of its own",
		[]string{":DOCKER-USER", ":SIDE - [0:0]\n:DOCKER-USER", jump, "-A FORWARD -i eth0 -j SIDE\n-A SIDE -p udp -j ACCEPT\n" + jump},
		nil,
		[]string{"IPv4 FORWARD: a rule before CHAIN admits packets that its rules refuse: -A SIDE -p udp -j ACCEPT"},
	},
	{
		"a rule before that admits packets which our rules admit too", // an allowed client, which is not banned
		[]string{jump, "-A FORWARD -s 198.51.100.7/32 -j ACCEPT\n" + jump},
		nil,
		nil,
	},
	{
		"a rule before that admits a banned client",
		[]string{jump, "-A FORWARD -s 198.51.100.7/32 -j ACCEPT\n" + jump},
		[]string{"203.0.113.5", "198.51.100.7"},
		[]string{"IPv4 FORWARD: a rule before CHAIN admits packets that its rules refuse"},
	},
	{
		"no jump to the rules, and FORWARD drops everything",
		[]string{jump, "", ":FORWARD ACCEPT", ":FORWARD DROP"},
		nil,
		[]string{"IPv4 FORWARD: never reaches CHAIN, so its rules have no effect."},
	},
	{
		"the policy of the security table drops",
		[]string{"COMMIT\n", "COMMIT\n*security\n:FORWARD DROP [0:0]\nCOMMIT\n"},
		nil,
		[]string{`IPv4 FORWARD: accept "https" has no effect: -t security -P FORWARD DROP drops its packets, for example tcp`, "IPv4 security: -t security -P FORWARD DROP drops packets that the rules admit"},
	},
	{
		"a drop in mangle",
		[]string{"COMMIT\n", "COMMIT\n*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i eth0 -j DROP\nCOMMIT\n"},
		nil,
		[]string{`IPv4 FORWARD: accept "https" has no effect: -t mangle -A FORWARD -i eth0 -j DROP, `},
	},
	{
		"a ban in mangle",
		[]string{"COMMIT\n", "COMMIT\n*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i eth0 -s 203.0.113.0/24 -j DROP\nCOMMIT\n"},
		nil,
		nil,
	},
	{
		"no connection tracking for packets from outside",
		[]string{"COMMIT\n", "COMMIT\n*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -j NOTRACK\nCOMMIT\n"},
		nil,
		[]string{"IPv4 FORWARD: the raw table exempts packets from connection tracking (-t raw -A PREROUTING -i eth0 -j CT --notrack, "},
	},
	{
		"no connection tracking for a name server of the host's own",
		[]string{"COMMIT\n", "COMMIT\n" + natRules + "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -p udp -m udp --dport 53 -j NOTRACK\nCOMMIT\n", jump, jump + forDocker, ":DOCKER-USER", dockerRules + ":DOCKER-USER"},
		nil,
		nil,
	},
	{
		"a mark that is set for another interface only",
		[]string{":DOCKER-USER", ":SIDE - [0:0]\n:DOCKER-USER", jump, "-A FORWARD -j SIDE\n-A SIDE -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000\n-A SIDE -m mark --mark 0x40000/0xff0000 -j ACCEPT\n" + jump},
		nil,
		nil,
	},
	{
		"a mark that mangle sets for packets from outside",
		[]string{jump, "-A FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n" + jump, "COMMIT\n", "COMMIT\n*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -p udp -j MARK --set-xmark 0x4000/0x4000\nCOMMIT\n"},
		nil,
		[]string{"IPv4 FORWARD: a rule before CHAIN admits packets that its rules refuse: -A FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT"},
	},
	{
		"Docker's rules",
		[]string{"COMMIT\n", "COMMIT\n" + natRules, jump, jump + forDocker, ":DOCKER-USER", dockerRules + ":DOCKER-USER"},
		nil,
		nil,
	},
	{
		"a rule before for packets of no container",
		[]string{"COMMIT\n", "COMMIT\n" + natRules, jump, "-A FORWARD -o tailscale0 -j ACCEPT\n" + jump + forDocker, ":DOCKER-USER", dockerRules + ":DOCKER-USER"},
		nil,
		nil,
	},
	{
		"a rule before for packets to containers, too",
		[]string{"COMMIT\n", "COMMIT\n" + natRules, jump, "-A FORWARD -p udp -j ACCEPT\n" + jump + forDocker, ":DOCKER-USER", dockerRules + ":DOCKER-USER"},
		nil,
		[]string{"IPv4 FORWARD: a rule before CHAIN admits packets that its rules refuse: -A FORWARD -p udp -j ACCEPT"},
	},
	{
		"a rule before, and fallback rules that drop the packets it admits",
		[]string{jump, "-A FORWARD -i eth0 -p udp -j ACCEPT\n" + jump, "COMMIT\n", "COMMIT\n" + fallback(https+standard)},
		nil,
		nil,
	},
	{
		"no jump to Docker's chains",
		[]string{"COMMIT\n", "COMMIT\n" + natRules, ":DOCKER-USER", dockerRules + ":DOCKER-USER"},
		nil,
		[]string{"IPv4 Docker: FORWARD does not jump to Docker's chains"},
	},
	{
		"Docker's chains are missing, its nat rules exist",
		[]string{"COMMIT\n", "COMMIT\n" + natRules},
		nil,
		[]string{"IPv4 Docker: the filter table has none of Docker's chains"},
	},
	{
		"Docker's nat rules are missing, its chains exist",
		[]string{"COMMIT\n", "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", jump, jump + forDocker, ":DOCKER-USER", dockerRules + ":DOCKER-USER"},
		nil,
		[]string{"IPv4 Docker: the nat table has none of Docker's rules: docker-proxy answers"},
	},
	{
		"a limit in mangle, before all other rules",
		[]string{"COMMIT\n", "COMMIT\n" + natRules + "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m limit --limit 1/sec -j DROP\nCOMMIT\n", jump, jump + forDocker, ":DOCKER-USER", dockerRules + ":DOCKER-USER"},
		nil,
		nil,
	},
	{
		"a match that is not supported in mangle, before all other rules",
		[]string{"COMMIT\n", "COMMIT\n" + natRules + "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m tos --tos 0x10 -j DROP\nCOMMIT\n", jump, jump + forDocker, ":DOCKER-USER", dockerRules + ":DOCKER-USER"},
		nil,
		nil,
	},
	{
		"a limit in mangle, Docker's chains were flushed, and the policy of FORWARD is DROP",
		[]string{"COMMIT\n", "COMMIT\n" + natRules + "*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m limit --limit 1/sec -j DROP\nCOMMIT\n", jump, jump + forDocker, ":DOCKER-USER", ":DOCKER - [0:0]\n:DOCKER-USER", ":FORWARD ACCEPT", ":FORWARD DROP"},
		nil,
		[]string{"IPv4 Docker: Docker publishes port 8080 for 172.17.0.2:80, but no rule accepts"},
	},
	{
		"a limit accepts published ports instead of Docker's chains, and the policy of FORWARD is DROP",
		[]string{"COMMIT\n", "COMMIT\n" + natRules, jump, jump + forDocker, ":DOCKER-USER", ":DOCKER - [0:0]\n-A DOCKER -o docker0 -m limit --limit 1/sec -j ACCEPT\n:DOCKER-USER", ":FORWARD ACCEPT", ":FORWARD DROP"},
		nil,
		nil,
	},
	{
		"no connection tracking for published ports, after a limit",
		[]string{"COMMIT\n", "COMMIT\n" + natRules + "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m limit --limit 1/sec -j DROP\n-A PREROUTING -i eth0 -p tcp -j NOTRACK\nCOMMIT\n", jump, jump + forDocker, ":DOCKER-USER", dockerRules + ":DOCKER-USER"},
		nil,
		[]string{"IPv4 FORWARD: the raw table exempts packets from connection tracking (-t raw -A PREROUTING -i eth0 -p tcp -j CT --notrack, "},
	},
	{
		"Docker's chains were flushed, and the policy of FORWARD is DROP",
		[]string{"COMMIT\n", "COMMIT\n" + natRules, jump, jump + forDocker, ":DOCKER-USER", ":DOCKER - [0:0]\n:DOCKER-USER", ":FORWARD ACCEPT", ":FORWARD DROP"},
		nil,
		[]string{"IPv4 Docker: Docker publishes port 8080 for 172.17.0.2:80, but no rule accepts"},
	},
	{
		"a set is missing",
		nil,
		[]string{"create clients hash:net family inet hashsize 1024 maxelem 1048576\nadd clients 192.0.2.10\nadd clients 198.51.100.0/24\n", ""},
		[]string{"sets: clients is missing"},
	},
	{
		"a rule before with a set of ports",
		[]string{jump, "-A FORWARD -m set --match-set web src,dst -j ACCEPT\n" + jump},
		[]string{"create bans", "create web hash:ip,port family inet\nadd web 203.0.113.7,tcp:22\ncreate bans"},
		[]string{"IPv4 FORWARD: a rule before CHAIN admits packets that its rules refuse"},
	},
	{
		"a rule before with a dimension less than its set has",
		[]string{jump, "-A FORWARD -m set --match-set web src -j ACCEPT\n" + jump},
		[]string{"create bans", "create web hash:ip,port family inet\nadd web 203.0.113.7,tcp:22\ncreate bans"},
		nil,
	},
	{"a set is empty", nil, []string{"add clients 192.0.2.10\nadd clients 198.51.100.0/24\n", ""}, []string{"sets: clients is empty"}},
	{"a set has other entries", nil, []string{"add clients 192.0.2.10\n", "add clients 192.0.2.11\nadd clients 203.0.113.0/24\n"}, []string{"sets: clients: 1 missing entry: 192.0.2.10, 2 unexpected entries: 192.0.2.11, 203.0.113.0/24"}},
	{"a set is of another type", nil, []string{"create bans hash:net", "create bans hash:ip"}, []string{"sets: bans is hash:ip inet instead of hash:net inet"}},
	{"the same addresses in other prefixes", nil, []string{"add clients 198.51.100.0/24", "add clients 198.51.100.0/25\nadd clients 198.51.100.128/25"}, nil},
}

func TestEachFaultOfAHostIsReported(t *testing.T) {
	for _, install := range []string{"replace", "jump"} {
		chain, head, pass := "DOCKER-USER", ":DOCKER-USER - [0:0]\n", "ACCEPT"
		if install == "jump" {
			chain, head, pass = "DOCKERFW", ":DOCKER-USER - [0:0]\n:DOCKERFW - [0:0]\n", "RETURN"
		}
		compiled := open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), strings.Replace(policy, "INSTALL", install, 1)))
		for _, c := range slices.Concat(broken, brokenSecurity) {
			t.Run(install+"/"+c.name, func(t *testing.T) {
				text := strings.NewReplacer(c.rules...).Replace(savedRules)
				if install == "jump" {
					text = strings.Replace(text, ":DOCKER-USER - [0:0]\n", head, 1)
					text = strings.Replace(text, "COMMIT", "-A DOCKER-USER -j DOCKERFW\nCOMMIT", 1)
				}
				text = strings.NewReplacer("CHAIN", chain, "PASS", pass).Replace(text)
				dir := t.TempDir()
				write(t, filepath.Join(dir, "rules.v4"), text)
				write(t, filepath.Join(dir, "sets"), strings.NewReplacer(c.sets...).Replace(savedSets))
				checks, err := Host(compiled, open(t, dir))
				if err != nil {
					t.Fatal(err)
				}
				var failed []string
				for _, check := range checks {
					if check.Fault() {
						failed = append(failed, check.Name+": "+check.Text)
					}
				}
				matches := len(failed) == len(c.want)
				for i := range c.want {
					matches = matches && strings.HasPrefix(failed[i], strings.ReplaceAll(c.want[i], "CHAIN", chain))
				}
				if !matches {
					t.Errorf("(-want +got)\n%s", cmp.Diff(c.want, failed))
				}
			})
		}
	}
}

func TestForeignRulesAreReportedWhereLoadingDeletesThem(t *testing.T) {
	for install, want := range map[string]string{"replace": "DOCKER-USER contains 1 rule that dockerfw did not create; loading would delete it: -A DOCKER-USER -s 10.0.0.1/32 -j DROP", "jump": ""} {
		dir := t.TempDir()
		compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), strings.Replace(policy, "INSTALL", install, 1)))
		host := open(t, write(t, filepath.Join(dir, "rules.v4"), "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n:DOCKERFW - [0:0]\n"+jump+
			"-A DOCKER-USER -j DOCKERFW\n-A DOCKER-USER -s 10.0.0.1/32 -j DROP\nCOMMIT\n"))
		checks, err := Host(compiled, host)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, c := range checks {
			if c.Name == "IPv4 foreign" && c.Fault() {
				got = c.Text
			}
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q", install, got)
		}
	}
}

func TestAFamilyThatWasNotSavedFails(t *testing.T) {
	dir := t.TempDir()
	compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), `host { external_interfaces = ["eth0"] }`))
	checks, err := Host(compiled, open(t, write(t, filepath.Join(dir, "rules.v4"), "*filter\nCOMMIT\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.Name == "IPv6 rules" && c.Fault() && strings.HasSuffix(c.Text, "has no saved IPv6 rules") {
			return
		}
	}
	t.Errorf("%v", checks)
}
