package diff

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

// fataler is what *testing.T and *rapid.T have in common here.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// saved opens tables and sets as a host saves them.
func saved(t fataler, v4, sets string) *snapshot.Host {
	t.Helper()
	dir, err := os.MkdirTemp("", "diff-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"v4.save": v4, "sets.save": sets} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	opened, diags, err := snapshot.Open(dir, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return opened.Hosts[0]
}

// table is a saved table with these rules in DOCKER-USER.
func table(rules ...string) string {
	text := "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n"
	for _, r := range rules {
		text += "-A DOCKER-USER " + r + "\n"
	}
	return text + "COMMIT\n"
}

// candidates are rules to draw chains from: they overlap, shadow and contradict each other.
var candidates = []string{
	`-i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j ACCEPT`,
	`-s 192.0.2.0/24 -m comment --comment "dockerfw deny net" -j DROP`,
	`-s 192.0.2.7/32 -p tcp -m comment --comment "dockerfw deny one" -j REJECT --reject-with tcp-reset`,
	`-i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -m comment --comment "dockerfw accept https" -j ACCEPT`,
	`-i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 80:8080 --ctdir ORIGINAL -m comment --comment "dockerfw accept web" -j ACCEPT`,
	`-i eth0 -p udp -m udp --dport 53 -j ACCEPT`,
	`-p icmp -m icmp --icmp-type 8 -j RETURN`,
	`-m set --match-set partners src -m comment --comment "dockerfw accept partners" -j ACCEPT`,
	`-i eth0 -m set ! --match-set partners src -m comment --comment "dockerfw default" -j DROP`,
	`-i eth0 -m limit --limit 5/sec -j ACCEPT`,
	`-o eth0 -d 10.0.0.0/8 -j DROP`,
	`-i eth0 -j LOG --log-prefix "x "`,
	`-i eth+ -m comment --comment "dockerfw default" -j DROP`,
}

func drawState(t *rapid.T) *snapshot.Host {
	rules := rapid.SliceOfN(rapid.SampledFrom(candidates), 0, 6).Draw(t, "rules")
	members := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"192.0.2.0/25", "192.0.2.7", "198.51.100.0/24", "203.0.113.9"}), 0, 3, rapid.ID).Draw(t, "partners")
	sets := "create partners hash:net family inet hashsize 1024 maxelem 65536\n"
	for _, m := range members {
		sets += "add partners " + m + "\n"
	}
	return saved(t, table(rules...), sets)
}

func drawPacket(t *rapid.T) packet.Packet {
	p := packet.Packet{
		Family:          ir.IPv4,
		In:              rapid.SampledFrom([]string{"eth0", "eth1", "docker0"}).Draw(t, "in"),
		Out:             rapid.SampledFrom([]string{"eth0", "docker0"}).Draw(t, "out"),
		Source:          netip.MustParseAddr(rapid.SampledFrom([]string{"192.0.2.7", "192.0.2.200", "198.51.100.9", "203.0.113.9", "8.8.8.8"}).Draw(t, "source")),
		Destination:     netip.MustParseAddr(rapid.SampledFrom([]string{"172.17.0.2", "10.1.1.1"}).Draw(t, "destination")),
		Protocol:        rapid.SampledFrom([]uint8{1, 6, 17, 47}).Draw(t, "protocol"),
		SourcePort:      40000,
		DestinationPort: rapid.SampledFrom([]uint16{53, 80, 443}).Draw(t, "port"),
		State:           rapid.SampledFrom([]ir.CTState{ir.CTNew, ir.CTEstablished, ir.CTRelated, ir.CTInvalid}).Draw(t, "state"),
		Direction:       rapid.SampledFrom([]ir.CTDir{ir.CTOriginal, ir.CTReply}).Draw(t, "direction"),
		DNAT:            rapid.Bool().Draw(t, "dnat"),
		ICMPType:        8,
	}
	p.OriginalDestination = netip.MustParseAddr("198.51.100.1")
	p.OriginalPort = rapid.SampledFrom([]uint16{79, 80, 443, 8080, 8081}).Draw(t, "published")
	p.Complete()
	return p
}

// Every reported packet gets the reported verdicts, and every other packet the same on both
// sides.
func TestReportsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := drawState(t), drawState(t)
		report, err := Compare(before, after, Options{})
		if err != nil {
			t.Fatal(err)
		}
		old, now := before.Program(ir.IPv4, "DOCKER-USER"), after.Program(ir.IPv4, "DOCKER-USER")
		for _, c := range slices.Concat(report.Changes, report.SameReach) {
			if c.Packets.lines() == 0 || c.Effect == "" {
				t.Fatalf("no description of %+v", c)
			}
			if !slices.Contains(c.Old, c.WitnessOld) || !slices.Contains(c.New, c.WitnessNew) || c.WitnessOld == c.WitnessNew {
				t.Fatalf("the example gets %s and %s, the change is from %v to %v", c.WitnessOld, c.WitnessNew, c.Old, c.New)
			}
			if len(c.Conditions) > 0 {
				continue // their names differ on the two sides
			}
			if a, b := old.Decide(c.Witness).Verdict, now.Decide(c.Witness).Verdict; a != c.WitnessOld || b != c.WitnessNew {
				t.Fatalf("%s: %s → %s is reported, %s → %s happens", c.Witness, c.WitnessOld, c.WitnessNew, a, b)
			}
		}
		for range 40 {
			p := drawPacket(t)
			a, b := old.Decide(p).Verdict, now.Decide(p).Verdict
			if a == b {
				continue
			}
			switch same := passes(p, a) && passes(p, b); {
			case len(report.Changes)+len(report.SameReach) == 0, same && len(report.SameReach) == 0 && !slices.ContainsFunc(report.Changes, func(c Change) bool { return c.Unpublished }):
				t.Fatalf("%s: %s → %s is not reported", p, a, b)
			case !same && len(report.Changes) == 0:
				t.Fatalf("%s: %s → %s is reported as the same reach", p, a, b)
			}
		}
		if (report.Effect == None) != (len(report.Changes) == 0) {
			t.Fatalf("effect %s with %d changes", report.Effect, len(report.Changes))
		}
	})
}

// passes reports whether a verdict lets a packet through: accept does, and Docker's own rules do
// for replies, for packets with DNAT from outside, and for what containers send out.
func passes(p packet.Packet, v packet.Verdict) bool {
	switch v.Kind {
	case packet.Accept:
		return true
	case packet.Docker:
		return p.State&(ir.CTEstablished|ir.CTRelated) != 0 || p.DNAT && p.In != "docker0" || p.In == "docker0" && p.Out != "docker0"
	}
	return false
}

func TestNothingDiffersFromItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawState(t)
		report, err := Compare(s, s, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if report.Different() || len(report.Rules) > 0 {
			t.Fatalf("%+v", report)
		}
	})
}

func TestNoiseIsNoDifference(t *testing.T) {
	plain := saved(t, table(
		`-s 192.0.2.1/32 -i eth0 -p tcp -m tcp --dport 80 -j ACCEPT`,
		`-i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
		`-i eth0 -m set ! --match-set partners src -j DROP`,
	), "create partners hash:net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x11111111\nadd partners 10.0.0.0/8\nadd partners 192.0.2.1\n")
	noisy := saved(t, strings.NewReplacer("[0:0]", "[17:1020]", "-A DOCKER-USER", "[5:300] -A DOCKER-USER").Replace(table(
		`-p tcp -i eth0 -s 192.0.2.1 --dport 80:80 -j ACCEPT`,
		`-m conntrack --ctstate ESTABLISHED,RELATED -i eth0 -j ACCEPT`,
		`-m set ! --match-set partners src -i eth0 -j DROP`,
		`-j RETURN`,
	)), "create partners hash:net family inet hashsize 4096 maxelem 65536 counters bucketsize 12 initval 0x22222222\nadd partners 192.0.2.1/32 packets 5 bytes 9\nadd partners 10.128.0.0/9\nadd partners 10.0.0.0/9\n")
	report, err := Compare(plain, noisy, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Different() || len(report.Rules) > 0 || len(report.Notes) != 1 {
		t.Errorf("%+v", report)
	}
}

func TestSetsThatWereNotListedAreNoted(t *testing.T) {
	s := saved(t, table(`-i eth0 -j DROP`), "")
	before := *s
	before.NotListed = map[string]bool{"clients.0000000a": true}
	for _, sides := range [][2]*snapshot.Host{{&before, s}, {s, &before}} {
		report, err := Compare(sides[0], sides[1], Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(report.Notes, func(n string) bool { return strings.HasPrefix(n, "the entries of set clients.0000000a of ") }) {
			t.Errorf("%q", report.Notes)
		}
	}
}

func TestAnUnreachableChainHasNoEffect(t *testing.T) {
	text := strings.Replace(table(`-i eth0 -j DROP`), "-A FORWARD -j DOCKER-USER\n", "", 1)
	report, err := Compare(saved(t, text, ""), saved(t, table(`-i eth0 -j DROP`), ""), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Effect != Narrowed || len(report.Notes) != 2 || !strings.Contains(report.Notes[1], "leads to chain DOCKER-USER") {
		t.Errorf("effect %s, notes %q", report.Effect, report.Notes)
	}
}

func TestSetsAreComparedByTheirMembers(t *testing.T) {
	rules := table(`-m set --match-set mixed src -j DROP`)
	old := "create a hash:net family inet hashsize 1024 maxelem 65536\nadd a 10.0.0.0/8\n" +
		"create b hash:ip,port family inet hashsize 1024 maxelem 65536\nadd b 10.0.0.1,tcp:80\ncreate mixed list:set size 8\nadd mixed a\n"
	now := "create a hash:net family inet hashsize 1024 maxelem 65536\nadd a 10.0.0.0/9\nadd a 192.0.2.1\n" +
		"create b hash:ip,port family inet hashsize 1024 maxelem 65536\nadd b 10.0.0.1,tcp:81\n" +
		"create c hash:net family inet hashsize 1024 maxelem 65536\ncreate mixed list:set size 8\nadd mixed c\nadd mixed a\n"
	report, err := Compare(saved(t, rules, old), saved(t, rules, now), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range report.Sets {
		got = append(got, fmt.Sprint(s.Name, s.New, s.Gone, words.Prefixes(s.Added), words.Prefixes(s.Removed), s.AddedMembers, s.RemovedMembers))
	}
	want := []string{
		"afalse false [192.0.2.1] [10.128.0.0/9] [] []",
		"bfalse false [] [] [10.0.0.1,tcp:81] [10.0.0.1,tcp:80]",
		"ctrue false [] [] [] []",
		"mixedfalse false [] [] [c] []",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// The entries of sets of every type are compared; another spelling of an entry is no difference.
func TestEntriesOfEveryTypeAreCompared(t *testing.T) {
	for _, test := range []struct{ rule, old, now, want string }{
		{"src", "hash:ip netmask 24|192.0.2.0", "hash:net|192.0.2.0/24", "none"},
		{"src", "hash:ip netmask 24|192.0.2.0", "hash:ip netmask 25|192.0.2.0", "narrowed [] [192.0.2.128/25]"},
		{"src", "bitmap:ip range 192.0.2.0/24|192.0.2.1", "hash:ip|192.0.2.1", "none"},
		{"src,dst", "hash:ip,port|192.0.2.1,tcp:80", "hash:ip,port|192.0.2.1,80", "none"},
		{"src,dst", "hash:ip,port netmask 24|192.0.2.0,tcp:80", "hash:ip,port netmask 25|192.0.2.0,tcp:80", "narrowed [192.0.2.0,tcp:80 (netmask 25)] [192.0.2.0,tcp:80 (netmask 24)]"},
		{"src,dst", "hash:net,port|192.0.2.0/24,tcp:80", "hash:net,port|192.0.2.0/24,tcp:80 nomatch", "narrowed [192.0.2.0/24,tcp:80 nomatch] [192.0.2.0/24,tcp:80]"},
		{"src,src", "hash:net,iface|192.0.2.0/24,eth", "hash:net,iface|192.0.2.0/24,eth wildcard", "widened [192.0.2.0/24,eth wildcard] [192.0.2.0/24,eth]"},
		{"src", "hash:net,port|192.0.2.0/24,tcp:80", "hash:net,port|192.0.2.0/25,tcp:80", "none [192.0.2.0/25,tcp:80] [192.0.2.0/24,tcp:80]"},
		{"dst", "bitmap:port range 0-100|80", "bitmap:port range 0-200|80-81", "widened [81] []"},
		{"src,dst", "hash:ip,port|192.0.2.1,tcp:80", "hash:net,port|192.0.2.1,tcp:80", "none"},
	} {
		set := func(text string) string {
			header, entry, _ := strings.Cut(text, "|")
			return "create s " + header + "\nadd s " + entry + "\n"
		}
		rules := table("-m set --match-set s "+test.rule+" -j RETURN", "-j DROP")
		report, err := Compare(saved(t, rules, set(test.old)), saved(t, rules, set(test.now)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := string(report.Effect)
		for _, s := range report.Sets {
			got += fmt.Sprint(" ", append(words.Prefixes(s.Added), s.AddedMembers...), " ", append(words.Prefixes(s.Removed), s.RemovedMembers...))
		}
		if got != test.want {
			t.Errorf("%s -> %s: got %q, want %q", test.old, test.now, got, test.want)
		}
	}
}

func TestMovedLines(t *testing.T) {
	for _, c := range []struct{ old, now, added, removed, moved string }{
		{"a b c", "a b c", "", "", ""},
		{"a b c", "b c a", "", "", "a"},
		{"a b c d", "d a b c", "", "", "d"},
		{"a b", "a x b", "x", "", ""},
		{"a b b c", "a b c", "", "b", ""},
		{"a b c d e", "e d c b a", "", "", "e d c b"},
		{"a b c", "c x", "x", "a b", ""},
	} {
		added, removed, moved := compareLines(strings.Fields(c.old), strings.Fields(c.now))
		slices.Sort(moved)
		want := strings.Fields(c.moved)
		slices.Sort(want)
		if strings.Join(added, " ") != c.added || strings.Join(removed, " ") != c.removed || len(moved) != len(want) {
			t.Errorf("%s → %s: added %v, removed %v, moved %v", c.old, c.now, added, removed, moved)
		}
	}
}

func TestHostsWithoutDockerAreComparedFromForward(t *testing.T) {
	router := func(rule string) string {
		return "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD " + rule + "\nCOMMIT\n"
	}
	open, shut := saved(t, router("-j ACCEPT"), ""), saved(t, router("-i eth0 -j DROP"), "")
	report, err := Compare(open, shut, Options{})
	if err != nil || report.Effect != Narrowed || !strings.Contains(strings.Join(report.Notes, " "), "all of FORWARD is compared") {
		t.Errorf("%v, %+v", err, report)
	}
	if report, err = Compare(saved(t, table(), ""), open, Options{}); err != nil || !strings.Contains(strings.Join(report.Notes, " "), "--chain FORWARD") {
		t.Errorf("%v, %+v", err, report)
	}
	if _, err := Compare(open, shut, Options{Chain: "NOPE"}); err == nil || !strings.Contains(err.Error(), "has a chain NOPE") {
		t.Errorf("a chain that neither side has: %v", err)
	}
	if report, err = Compare(open, shut, Options{Chain: "FORWARD"}); err != nil || report.Effect != Narrowed {
		t.Errorf("%v, %+v", err, report)
	}
}
