package verify

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// brokenSecurity are faults of the security table; see broken.
var brokenSecurity = []fault{
	{"fallback rules", []string{"COMMIT\n", "COMMIT\n" + fallback(https+standard)}, nil, nil},
	{
		"fallback rules of another version",
		[]string{"COMMIT\n", "COMMIT\n" + fallback("-A CHAIN -i eth0 -p tcp -m tcp --dport 443 -m comment --comment \"dockerfw deny https\" -j DROP\n"+standard)},
		nil,
		[]string{"IPv4 security: -t security -A DOCKERFW -i eth0 -p tcp -m tcp --dport 443 -m comment"},
	},
	{
		"fallback rules without a jump",
		[]string{"COMMIT\n", "COMMIT\n" + strings.Replace(fallback(https+standard), "-A FORWARD -j DOCKERFW\n", "", 1)},
		nil,
		[]string{"IPv4 security: FORWARD of the security table does not jump to its chain DOCKERFW"},
	},
	{
		"a fallback rule is missing",
		[]string{"COMMIT\n", "COMMIT\n" + strings.Replace(fallback(https+standard), strings.ReplaceAll(banned, "CHAIN", "DOCKERFW"), "", 1)},
		nil,
		[]string{"IPv4 security: fallback rules: chain DOCKERFW lacks 1 rule: -i eth0 -m set --match-set bans src -m comment --comment \"dockerfw deny banned\" -j DROP. Run: dockerfw apply FOLDER"},
	},
	{
		"fallback rules of another version that refuse less, without a jump",
		[]string{"COMMIT\n", "COMMIT\n" + strings.Replace(fallback(https), "-A FORWARD -j DOCKERFW\n", "", 1)},
		nil,
		[]string{`IPv4 security: fallback rules: chain DOCKERFW lacks 1 rule: -i eth0 -m set ! --match-set clients src -m comment --comment "dockerfw default" -j DROP. Run: dockerfw apply FOLDER; FORWARD of the security table does not jump to its chain DOCKERFW.`},
	},
	{
		"a chain of the fallback rules of another version",
		[]string{"COMMIT\n", "COMMIT\n" + strings.Replace(fallback(https+standard), ":DOCKERFW -", ":DOCKERFW-EGRESS - [0:0]\n:DOCKERFW -", 1)},
		nil,
		[]string{"IPv4 security: fallback rules: chain DOCKERFW-EGRESS is of another version. Run: dockerfw apply FOLDER"},
	},
	{
		"the security table without fallback rules",
		[]string{"COMMIT\n", "COMMIT\n*security\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"},
		nil,
		[]string{"IPv4 security: the fallback rules are missing. Run: dockerfw apply FOLDER (a kernel"},
	},
	{
		"a foreign rule before the fallback rules that accepts",
		[]string{"COMMIT\n", "COMMIT\n" + strings.Replace(fallback(https+standard), "-A FORWARD", "-A FORWARD -p udp -j ACCEPT\n-A FORWARD", 1)},
		nil,
		[]string{"IPv4 security: the fallback rules do not get packets such as udp"},
	},
	{
		"a foreign rule in the chain of the fallback rules",
		[]string{"COMMIT\n", "COMMIT\n" + strings.Replace(fallback(https+standard), "-A FORWARD", "-A DOCKERFW -p udp -j RETURN\n-A FORWARD", 1)},
		nil,
		[]string{"IPv4 security: fallback rules: chain DOCKERFW has 1 rule of another version: -p udp -j RETURN. Run: dockerfw apply FOLDER"},
	},
	{
		"a jump to the fallback rules with a condition",
		[]string{"COMMIT\n", "COMMIT\n" + strings.Replace(fallback(https+standard), "-A FORWARD -j", "-A FORWARD -p tcp -j", 1)},
		nil,
		[]string{"IPv4 security: the fallback rules do not get packets such as "},
	},
	{
		"a foreign rule of the security table that drops what the policy admits",
		[]string{"COMMIT\n", "COMMIT\n" + strings.Replace(fallback(https+standard), "-A FORWARD -j DOCKERFW\n", "-A FORWARD -j DOCKERFW\n-A FORWARD -s 192.0.2.10/32 -p udp -j DROP\n", 1)},
		nil,
		[]string{"IPv4 security: -t security -A FORWARD -s 192.0.2.10/32 -p udp -j DROP, "},
	},
}

// Only rules of dockerfw are of another version; what others put into the security table is
// theirs to delete.
func TestAdviceAboutTheSecurityTable(t *testing.T) {
	compiled := open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), strings.Replace(policy, "INSTALL", "replace", 1)))
	filter := strings.NewReplacer("CHAIN", "DOCKER-USER", "PASS", "ACCEPT").Replace(savedRules)
	drop := "-A DOCKERFW -i eth0 -p tcp -m tcp --dport 443 -m comment --comment \"dockerfw deny https\" -j DROP\n"
	for _, c := range []struct {
		name, security, want string
		kind                 snapshot.Kind
	}{
		{"ours", fallback(drop + standard), "The fallback rules are of another version. Run: dockerfw apply FOLDER", snapshot.Saved},
		{"a policy", strings.Replace(fallback(https+standard), ":FORWARD ACCEPT", ":FORWARD DROP", 1), "If it should not, run: iptables -t security -P FORWARD ACCEPT", snapshot.Saved},
		{"foreign", strings.Replace(fallback(https+standard), "COMMIT", "-A FORWARD -p udp -j DROP\nCOMMIT", 1), "It is a foreign rule; delete it if it should not be there", snapshot.Saved},
		{"foreign, and the fallback rules are missing", "*security\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -j DROP\nCOMMIT\n", "It is a foreign rule; delete it if it should not be there; the fallback rules are missing. Run: dockerfw apply FOLDER (a kernel without the security table cannot have them)", snapshot.Saved},
		{"nothing on a running host", "", "the fallback rules are missing. Run: dockerfw apply FOLDER (a kernel without the security table cannot have them)", snapshot.Live},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "rules.v4"), filter+c.security)
		write(t, filepath.Join(dir, "sets"), savedSets)
		host := open(t, dir)
		host.Kind = c.kind
		r, err := security(hostsOfIPv4(compiled, host))
		if err != nil {
			t.Fatal(err)
		}
		if r.ok || !strings.HasSuffix(r.text, c.want) {
			t.Errorf("%s: %q, want it to end with %q", c.name, r.text, c.want)
		}
	}
}

// The fallback rules for packets to the host are checked as those for forwarded packets are, but
// what foreign rules of INPUT refuse is no fault.
func TestFallbackRulesForTheHost(t *testing.T) {
	dir := t.TempDir()
	compiled := open(t, write(t, filepath.Join(dir, "policy.hcl"), `
host {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
  proxy_ports         = [8080]
}
default {}
`))
	const (
		noTrack    = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i eth0 -j NOTRACK\nCOMMIT\n"
		inputJump  = "-A INPUT -j DOCKERFW-INPUT\n"
		toProxy    = `-A DOCKERFW-INPUT -i eth0 -p tcp -m tcp --dport 8080 -m comment --comment "dockerfw input" -j DOCKERFW-PROXY` + "\n"
		proxyDrops = `-A DOCKERFW-PROXY -m comment --comment "dockerfw default" -j DROP` + "\n"
		chains     = toProxy + `-A DOCKERFW-PROXY -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j RETURN` + "\n" + proxyDrops
		forward    = `-i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j `
		drop       = ` -i eth0 -m comment --comment "dockerfw default" -j DROP` + "\n"
		whole      = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n:DOCKERFW-INPUT - [0:0]\n:DOCKERFW-PROXY - [0:0]\n" +
			jump + inputJump + "-A DOCKER-USER " + forward + "ACCEPT\n-A DOCKER-USER" + drop + chains + "COMMIT\n" +
			"*security\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:DOCKERFW - [0:0]\n:DOCKERFW-INPUT - [0:0]\n:DOCKERFW-PROXY - [0:0]\n" +
			"-A FORWARD -j DOCKERFW\n" + inputJump + "-A DOCKERFW " + forward + "RETURN\n-A DOCKERFW" + drop + chains + "COMMIT\n"
	)
	for _, c := range []struct{ name, old, new, want string }{
		{"complete", "", "", "ok: the fallback rules are complete, and the security table refuses nothing else"},
		{"no jump", inputJump, "", "INPUT of the security table does not jump to its chain DOCKERFW-INPUT. Run: dockerfw apply FOLDER, which adds the jump, or: iptables -t security -I INPUT 1 -j DOCKERFW-INPUT"},
		{"a conditional jump", inputJump, "-A INPUT -p udp -j DOCKERFW-INPUT\n", "the fallback rules do not get packets such as tcp 198.51.100.1:40000 -> 192.0.2.1:8080 in eth0 NEW: INPUT jumps to them only under conditions."},
		{"behind an accept", inputJump, "-A INPUT -p tcp -j ACCEPT\n" + inputJump, "the fallback rules do not get packets such as tcp 198.51.100.1:40000 -> 192.0.2.1:8080 in eth0 NEW: -t security -A INPUT -p tcp -j ACCEPT, "},
		{"a rule missing", proxyDrops, "", "fallback rules: chain DOCKERFW-PROXY lacks 1 rule: "},
		{"a version that refuses more", toProxy, strings.Replace(toProxy, "8080", "22", 1), "-t security -A DOCKERFW-PROXY -m comment --comment \"dockerfw default\" -j DROP, "},
		{"a foreign rule", inputJump, inputJump + "-A INPUT -p udp -j DROP\n", "ok: the fallback rules are complete. Besides, -t security -A INPUT -p udp -j DROP, "},
	} {
		dir := t.TempDir()
		filter, fallback, _ := strings.Cut(whole, "*security")
		text := strings.Replace(fallback, c.old, c.new, 1)
		if c.old != "" && text == fallback {
			t.Fatalf("%s: the fault changes nothing", c.name)
		}
		write(t, filepath.Join(dir, "rules.v4"), filter+"*security"+text)
		write(t, filepath.Join(dir, "sets"), savedSets)
		r, err := security(hostsOfIPv4(compiled, open(t, dir)))
		if err != nil {
			t.Fatal(err)
		}
		got := r.text
		if r.ok {
			got = "ok: " + got
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s\nwant %s", c.name, got, c.want)
		}
	}
	// Packets that are not tracked are one fault, which FORWARD and INPUT share.
	dir = t.TempDir()
	write(t, filepath.Join(dir, "rules.v4"), whole+noTrack)
	checks, err := Host(compiled, open(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	reported := 0
	for _, c := range checks {
		if strings.Contains(c.Text, "exempts packets from connection tracking") {
			reported++
		}
	}
	if reported != 1 {
		t.Errorf("NOTRACK is reported %d times: %+v", reported, checks)
	}

	// Without the rules, their checks do not say that all is well.
	write(t, filepath.Join(dir, "rules.v4"), "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n:DOCKERFW-INPUT - [0:0]\n"+jump+inputJump+"COMMIT\n")
	if checks, err = Host(compiled, open(t, dir)); err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if want := map[string]string{
			"IPv4 FORWARD": "chain DOCKER-USER has no rules of dockerfw", "IPv4 INPUT": "chain DOCKERFW-INPUT has no rules of dockerfw",
		}[c.Name]; want != "" && !c.Fault() && (c.Status != "note" || !strings.HasPrefix(c.Text, want)) {
			t.Errorf("without rules: %+v", c)
		}
	}
}

// A policy that refuses nothing has no fallback rules, and needs none.
func TestAPolicyThatRefusesNothingNeedsNoFallbackRules(t *testing.T) {
	compiled := open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), "host { external_interfaces = [\"eth0\"] }\ndefault { action = \"return\" }\n"))
	for text, want := range map[string]result{
		"":                 {ok: true, nothing: true, text: "no fallback rules were compiled, and the table refuses nothing that the rules admit"},
		fallback(standard): {text: "-t security -A DOCKERFW -i eth0 -m set "},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "rules.v4"), "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n"+jump+"COMMIT\n"+text)
		write(t, filepath.Join(dir, "sets"), savedSets)
		r, err := security(hostsOfIPv4(compiled, open(t, dir)))
		if err != nil {
			t.Fatal(err)
		}
		if r.ok != want.ok || r.nothing != want.nothing || !strings.HasPrefix(r.text, want.text) {
			t.Errorf("%+v, want %+v", r, want)
		}
	}
}

// hostsOfIPv4 are what the checks of IPv4 get.
func hostsOfIPv4(want, have *snapshot.Host) *hosts {
	h := newHosts(want, have)
	h.family = ir.IPv4
	return h
}
