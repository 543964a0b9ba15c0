package diff

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// published is an accept or deny of one published TCP port.
func published(kind, name string, port int, verdict string) string {
	return fmt.Sprintf(`-i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport %d --ctdir ORIGINAL -m comment --comment "dockerfw %s %s" -j %s`, port, kind, name, verdict)
}

const (
	partnersAccept  = `-i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport %d --ctdir ORIGINAL -m set --match-set partners src -m comment --comment "dockerfw accept %s" -j ACCEPT`
	partnersDefault = `-i eth0 -m set ! --match-set partners src -m comment --comment "dockerfw default" -j DROP`
	dropAll         = `-i eth0 -m comment --comment "dockerfw default" -j DROP`
)

// linesOf are the lines that describe a change's packets.
func linesOf(c Change) []string { return sentences{}.description(c.Packets) }

func partners(members ...string) string {
	text := "create partners hash:net family inet hashsize 1024 maxelem 65536\n"
	for _, m := range members {
		text += "add partners " + m + "\n"
	}
	return text
}

func compare(t *testing.T, opts Options, oldRules []string, oldSets string, newRules []string, newSets string) *Report {
	t.Helper()
	report, err := Compare(saved(t, table(oldRules...), oldSets), saved(t, table(newRules...), newSets), opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestTheEffectIsThatOfAllChangesListedOrNot(t *testing.T) {
	var old, now []string
	for i := range 20 {
		a, b := published("accept", fmt.Sprint("a", i), 1000+i, "ACCEPT"), published("accept", fmt.Sprint("a", i), 2000+i, "ACCEPT")
		old, now = append(old, a), append(now, b)
	}
	old, now = append(old, dropAll), append(now, dropAll)
	for limit, want := range map[int]int{1: 2, 5: 10, 0: 40} {
		report := compare(t, Options{Changes: limit}, old, "", now, "")
		effects := map[Effect]int{}
		for _, c := range report.Changes {
			effects[c.Effect]++
		}
		if report.Effect != Both || len(report.Changes) != want || effects[Widened] != want/2 || report.More != (limit > 0) {
			t.Errorf("limit %d: %s, %d changes %v, more %t", limit, report.Effect, len(report.Changes), effects, report.More)
		}
	}
	if report := compare(t, Options{Full: true, Regions: 1}, old, "", now, ""); report.More || len(report.Changes) != 40 {
		t.Errorf("in full: more %t, %d changes", report.More, len(report.Changes))
	}
}

// A network is added to a set that many rules match: that is one change, with all that the
// network is newly allowed to reach.
func TestASetThatGrowsIsOneChange(t *testing.T) {
	var rules []string
	for i := range 8 {
		name := fmt.Sprint("r", i)
		rules = append(rules, fmt.Sprintf(partnersAccept, 5000+10*i, name))
	}
	rules = append(rules, dropAll)
	report := compare(t, Options{}, rules, partners("192.0.2.0/25"), rules, partners("192.0.2.0/24"))
	if report.Effect != Widened || len(report.Changes) != 1 {
		t.Fatalf("%s, %d changes", report.Effect, len(report.Changes))
	}
	c := report.Changes[0]
	if diff := cmp.Diff([]string{"192.0.2.128/25, arriving on eth0, to published ports 5000, 5010, 5020, 5030, 5040, 5050, 5060, 5070/tcp"}, linesOf(c)); diff != "" {
		t.Error(diff)
	}
	if got := textOf(t, report, Style{}); !strings.Contains(got, `new rules:  accept "r0" (`) || !strings.Contains(got, " and 4 more\n") {
		t.Error(got)
	}
	if got := textOf(t, report, Style{Full: true}); strings.Contains(got, "and 4 more") || !strings.Contains(got, `accept "r7" (`) {
		t.Error(got)
	}
	if len(c.NewRules) != 8 {
		t.Errorf("%v", c.NewRules)
	}
}

func textOf(t *testing.T, r *Report, style Style) string {
	t.Helper()
	var b strings.Builder
	if err := WriteText(&b, []*Report{r}, style); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Two rules with the same set give different verdicts: those are two changes.
func TestASetThatGrowsIsOneChangeForEachVerdict(t *testing.T) {
	rules := []string{fmt.Sprintf(partnersAccept, 5432, "pg"), partnersDefault}
	report := compare(t, Options{}, rules, partners("192.0.2.0/25"), rules, partners("192.0.2.0/24"))
	var got []string
	for _, c := range report.Changes {
		got = append(got, fmt.Sprintf("%s %s → %s: %s", c.Effect, Forwarded.verdicts(c.Old), Forwarded.verdicts(c.New), strings.Join(linesOf(c), "; ")))
	}
	want := []string{
		"widened drop → left to Docker's rules: 192.0.2.128/25, arriving on eth0, to all other ports",
		"widened drop → accept: 192.0.2.128/25, arriving on eth0, to published port 5432/tcp",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPacketsAreDescribedInOneSentence(t *testing.T) {
	for _, c := range []struct{ old, now, want string }{
		{`-d 10.0.0.0/8 -j DROP`, ``, `everyone to 10.0.0.0/8`},
		{`-p udp -j DROP`, ``, `everyone to anything over udp`},
		{`-o eth0 -j DROP`, ``, `everyone to anything leaving on eth0`},
		{`-o eth0 -d 10.0.0.1/32 -j DROP`, ``, `everyone to 10.0.0.1, leaving on eth0`},
		{`-p tcp -m tcp --dport 80 -j DROP`, ``, `everyone to container port 80/tcp`},
		{`-p tcp -m tcp ! --dport 80 -j DROP`, ``, `everyone to any tcp container port except 80`},
		{`-p tcp -m tcp --sport 53 -j DROP`, ``, `everyone, from source port 53, to anything over tcp`},
		{`-p icmp -m icmp --icmp-type 8 -j DROP`, ``, `everyone to anything over icmp type 8`},
		{`-m conntrack --ctstate INVALID -j DROP`, ``, `everyone to anything, only invalid packets`},
		{`-i eth0 -m conntrack --ctstate DNAT --ctdir ORIGINAL -j DROP`, ``, `everyone, arriving on eth0, to any published port`},
		{`-s 192.0.2.1/32 -j DROP`, ``, `192.0.2.1 to anything`},
		{`! -s 192.0.2.1/32 -j DROP`, ``, `everyone except 192.0.2.1 to anything`},
	} {
		report := compare(t, Options{}, ruleOrNone(c.old), "", ruleOrNone(c.now), "")
		if len(report.Changes) != 1 || strings.Join(linesOf(report.Changes[0]), "\n") != c.want {
			t.Errorf("%s: got %q, want %q", c.old, fmt.Sprint(report.Changes), c.want)
		}
	}
}

func ruleOrNone(rule string) []string {
	if rule == "" {
		return nil
	}
	return []string{rule}
}

func TestEffectsOfUnknownTargets(t *testing.T) {
	for _, c := range []struct {
		old, now string
		want     Effect
	}{
		{`-j DROP`, `-j NFQUEUE --queue-num 1`, Widened},
		{`-j NFQUEUE --queue-num 1`, `-j REJECT`, Narrowed},
		{`-j ACCEPT`, `-j NFQUEUE --queue-num 1`, Narrowed},
		{`-j NFQUEUE --queue-num 1`, `-j NFQUEUE --queue-num 2`, Changed},
		{`-j DROP`, `-j REJECT`, Changed},
	} {
		if got := compare(t, Options{}, []string{c.old}, "", []string{c.now}, "").Effect; got != c.want {
			t.Errorf("%s → %s is %s, want %s", c.old, c.now, got, c.want)
		}
	}
}

func TestEffectsOfHostsAreJoined(t *testing.T) {
	for _, c := range []struct {
		all  []Effect
		want Effect
	}{
		{nil, None},
		{[]Effect{None, None}, None},
		{[]Effect{None, Changed}, Changed},
		{[]Effect{Changed, Widened, None}, Widened},
		{[]Effect{Narrowed, Changed}, Narrowed},
		{[]Effect{Narrowed, Widened}, Both},
		{[]Effect{Both, None, Changed, Widened}, Both},
	} {
		var reports []*Report
		for _, e := range c.all {
			reports = append(reports, &Report{Effect: e})
		}
		if got := Total(reports); got != c.want {
			t.Errorf("%v: %s, want %s", c.all, got, c.want)
		}
	}
}

// "Accept" and "left to Docker's rules" are the same for what Docker publishes, for replies
// and for what containers send out; not for unpublished ports, between Docker's networks, or
// in INPUT: docs/commands.md has the table.
func TestWhatDockersRulesAcceptIsTheSameReach(t *testing.T) {
	for _, c := range []struct {
		old, now string
		want     Effect
		same     bool
	}{
		{``, published("accept", "web", 443, "ACCEPT"), None, true},
		{published("accept", "web", 443, "ACCEPT"), published("accept", "web", 443, "RETURN"), None, true},
		{`-i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`, ``, None, true},
		{`-i docker0 ! -o docker0 -j ACCEPT`, `-i docker0 ! -o docker0 -j RETURN`, None, false}, // to br-+ it differs
		{`-i docker0 -o eth0 -j ACCEPT`, `-i docker0 -o eth0 -j RETURN`, None, true},
		{``, `-i eth0 -p tcp -m tcp --dport 5432 -j ACCEPT`, Widened, true}, // also without DNAT
		{`-i eth0 -m conntrack --ctstate INVALID -j ACCEPT`, ``, Narrowed, false},
		{``, `-i docker0 -o docker0 -m conntrack --ctstate NEW -j ACCEPT`, Widened, false},
		{``, `-i br-a -o docker0 -m conntrack --ctstate DNAT --ctdir ORIGINAL -j ACCEPT`, Widened, true},
		{``, `-i br-a -o docker0 -m conntrack --ctstate NEW -j ACCEPT`, Widened, false},
		{dropAll, published("accept", "web", 443, "ACCEPT") + "\n-A DOCKER-USER " + dropAll, Widened, false},
	} {
		report := compare(t, Options{}, ruleOrNone(c.old), "", ruleOrNone(c.now), "")
		if c.want == None && !c.same {
			c.want, c.same = Narrowed, true
		}
		if report.Effect != c.want || report.Different() != (c.want != None) || (len(report.SameReach) > 0) != c.same {
			t.Errorf("%q → %q: %s, different %t, same reach: %v", c.old, c.now, report.Effect, report.Different(), report.SameReach)
		}
		if c.want == None && !strings.Contains(textOf(t, report, Style{}), "no difference in allowed traffic (") {
			t.Error(textOf(t, report, Style{}))
		}
	}
}

// In INPUT the host's own rules may drop what dockerfw leaves to them.
func TestLeftToTheHostIsNotAccepted(t *testing.T) {
	input := func(target string) *snapshot.Host {
		return saved(t, "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n:DOCKERFW-INPUT - [0:0]\n"+
			"-A INPUT -j DOCKERFW-INPUT\n-A FORWARD -j DOCKER-USER\n-A DOCKERFW-INPUT -p tcp -m tcp --dport 80 -j "+target+"\nCOMMIT\n", "")
	}
	report, err := Compare(input("RETURN"), input("ACCEPT"), Options{})
	if err != nil || report.Effect != Widened || len(report.SameReach) > 0 {
		t.Errorf("%v %+v", err, report)
	}
}

// Sets that no rule uses, and members whose effect is among the changes, are reported and are
// no difference by themselves; members that rules of other chains match are one.
func TestSetsAreADifferenceWhereOtherRulesMatchThem(t *testing.T) {
	literal := []string{`-s 192.0.2.0/24 -i eth0 -j ACCEPT`, dropAll}
	named := []string{`-i eth0 -m set --match-set partners src -j ACCEPT`, dropAll}
	for _, c := range []struct {
		name               string
		old                []string
		oldSets            string
		now                []string
		nowSets            string
		different, changed bool
		want               string
	}{
		{"a set for literal addresses", literal, "", named, partners("192.0.2.0/24"), false, false, "new set partners: 1 entry added\n"},
		{"the set is removed again", named, partners("192.0.2.0/24"), literal, "", false, false, "removed set partners: 1 entry removed\n"},
		{"another set for them", literal, "", named, partners("192.0.2.0/23"), true, true, "new set partners: 1 entry added\n"},
		{"a set that no rule uses", literal, "", literal, partners("192.0.2.0/24"), false, false, "new set partners (not used by any rule): 1 entry added\n"},
		{"members that no rule matches", literal, partners("192.0.2.1"), literal, partners("192.0.2.2"), false, false, "partners (not used by any rule): 1 entry added, 1 entry removed\n"},
		{"members that change who is allowed", named, partners("192.0.2.1"), named, partners("192.0.2.2"), true, true, "partners: 1 entry added, 1 entry removed"},
		{"members that another rule allows", append(slices.Clone(literal[:1]), named...), partners("192.0.2.1"), append(slices.Clone(literal[:1]), named...), partners("192.0.2.2"), false, false, "partners: 1 entry added, 1 entry removed"},
	} {
		report := compare(t, Options{}, c.old, c.oldSets, c.now, c.nowSets)
		if report.Different() != c.different || (len(report.Changes) > 0) != c.changed || !strings.Contains(textOf(t, report, Style{}), c.want) {
			t.Errorf("%s: different %t\n%s", c.name, report.Different(), textOf(t, report, Style{}))
		}
	}
	// The raw table is not compared.
	raw := func(members string) *snapshot.Host {
		return saved(t, table()+"*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -m set --match-set partners src -j DROP\nCOMMIT\n", partners(members))
	}
	if report, err := Compare(raw("192.0.2.1"), raw("192.0.2.2"), Options{}); err != nil || !report.Different() {
		t.Errorf("a set of the raw table: %v %+v", err, report)
	}
}

// A hand-written chain against a policy: the effect of many rules is one change, with its
// clients, interfaces and ports.
func TestChangesOfHandWrittenChainsAreGroupedByVerdict(t *testing.T) {
	var rules []string
	for _, port := range []string{"53", "80", "443", "9418"} {
		rules = append(rules, "-p tcp -m tcp --dport "+port+" -j ACCEPT")
	}
	rules = append(rules, "-p udp -m udp --dport 53 -j ACCEPT", "-j DROP")
	host := saved(t, table(rules...), "")
	policy := policyState(t, `
host {
  external_interfaces  = ["eth0"]
  container_interfaces = ["docker0"]
  families             = ["ipv4"]
}
accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
}
egress {
  accept "out" {
    protocol        = "tcp"
    container_ports = [53, 80, 443, 9418]
  }
}
`)
	report, err := Compare(host, policy, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range report.Changes {
		got = append(got, fmt.Sprintf("%s %s → %s: %s", c.Effect, Forwarded.verdicts(c.Old), Forwarded.verdicts(c.New), strings.Join(linesOf(c), "; ")))
	}
	want := []string{
		"widened drop → left to Docker's rules: everyone, arriving on any interface except eth0, to all other ports; everyone, arriving on eth0, to all other ports, leaving on any interface except docker0",
		"widened drop → accept: everyone, arriving on eth0, to published ports 80, 443/tcp mapped to any container port except 53, 80, 443, 9418, leaving on docker0",
		"widened drop → accept: everyone, arriving on docker0, to all other ports, only packets of open connections, leaving on eth0; everyone, arriving on eth0, to all other ports, only packets of open connections, leaving on docker0",
		"narrowed accept → left to Docker's rules: everyone, arriving on any interface except eth0, to container ports 53, 80, 443, 9418 over tcp or udp; everyone, arriving on eth0, to container ports 53, 80, 443, 9418 over tcp or udp, leaving on any interface except docker0; except packets that other rules match",
		"narrowed accept → drop: everyone, arriving on eth0, to container ports 53, 80, 443, 9418 over tcp or udp, leaving on docker0; except packets that other rules match",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// "At most" and "above" the same limit are one condition.
func TestUptoAndAboveOfOneLimitAreOneCondition(t *testing.T) {
	const upto, above = `-m hashlimit --hashlimit-upto 50/sec --hashlimit-burst 20 --hashlimit-mode srcip`, `-m hashlimit --hashlimit-above 50/sec --hashlimit-burst 20 --hashlimit-mode srcip`
	for _, c := range []struct {
		old, now []string
		same     bool
	}{
		{[]string{upto + ` --hashlimit-name a -j RETURN`, `-j DROP`}, []string{above + ` --hashlimit-name b -j DROP`}, true},
		{[]string{`-m hashlimit ! --hashlimit-upto 50/sec --hashlimit-burst 20 --hashlimit-mode srcip --hashlimit-name a -j DROP`}, []string{above + ` --hashlimit-name b -j DROP`}, true},
		{[]string{upto + ` --hashlimit-name a -j RETURN`, `-j DROP`}, []string{strings.Replace(above, "50", "60", 1) + ` --hashlimit-name a -j DROP`}, false},
		{[]string{upto + ` --hashlimit-name a -j RETURN`, `-j DROP`}, []string{strings.Replace(above, "srcip", "dstip", 1) + ` --hashlimit-name a -j DROP`}, false},
		// Two rules that share a hash table are not two rules with one each.
		{
			[]string{`-p tcp ` + above + ` --hashlimit-name a -j DROP`, `-p udp ` + above + ` --hashlimit-name a -j DROP`},
			[]string{`-p tcp ` + above + ` --hashlimit-name a -j DROP`, `-p udp ` + above + ` --hashlimit-name b -j DROP`},
			false,
		},
		{[]string{`-p tcp -m connlimit --connlimit-upto 10 --connlimit-mask 32 --connlimit-saddr -j RETURN`, `-p tcp -j DROP`}, []string{`-p tcp -m connlimit --connlimit-above 10 --connlimit-mask 32 --connlimit-saddr -j DROP`}, true},
		{[]string{`-m limit --limit 5/sec -j RETURN`, `-j DROP`}, []string{`-m limit --limit 5/sec -j DROP`}, false},
		// A LOG rule with the same limit gives no verdict.
		{[]string{upto + ` --hashlimit-name a -j RETURN`, `-j DROP`}, []string{above + ` --hashlimit-name b -j LOG`, above + ` --hashlimit-name c -j DROP`}, true},
	} {
		if report := compare(t, Options{}, c.old, "", c.now, ""); report.Different() == c.same {
			t.Errorf("%q → %q: %s", c.old, c.now, textOf(t, report, Style{}))
		}
	}
}

// Another verdict for many rules is a few lines, and no "more changes".
func TestManyChangesOfTheSameReachAreAFewLines(t *testing.T) {
	var old, now []string
	for i := range 80 {
		old = append(old, published("accept", fmt.Sprint("a", i), 1000+i, "ACCEPT"))
		now = append(now, published("accept", fmt.Sprint("a", i), 1000+i, "RETURN"))
	}
	report := compare(t, Options{}, append(old, dropAll), "", append(now, dropAll), "")
	text := textOf(t, report, Style{})
	if report.Effect != None || report.More || report.Different() || strings.Count(text, "→") > samples+1 || !strings.Contains(text, "  … and 45 more (--full lists them)\n") {
		t.Error(text)
	}
}

func TestGatesSelectDifferences(t *testing.T) {
	widened := []*Report{{Effect: Widened, Changes: make([]Change, 1)}}
	both := []*Report{{Effect: Both, Changes: make([]Change, 1)}}
	written := []*Report{{Effect: None, Rules: make([]ChainChange, 1)}}
	for _, c := range []struct {
		gate    Gate
		reports []*Report
		fails   bool
	}{
		{Gate{On: "any"}, widened, true},
		{Gate{On: "widened"}, widened, true},
		{Gate{On: "narrowed"}, widened, false},
		{Gate{On: "narrowed"}, both, true},
		{Gate{On: "any"}, written, false},
		{Gate{On: "any", Strict: true}, written, true},
		{Gate{On: "widened", Strict: true}, written, false},
	} {
		if got := c.gate.Fails(c.reports); got != c.fails {
			t.Errorf("%+v: %t for effect %s", c.gate, got, c.reports[0].Effect)
		}
	}
}
