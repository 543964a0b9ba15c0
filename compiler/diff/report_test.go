package diff

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// published is an accept or deny of one published TCP port.
func published(kind, name string, port int, verdict string) string {
	return fmt.Sprintf(`-i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport %d --ctdir ORIGINAL -m comment --comment "dockerfw %s %s" -j %s`, port, kind, name, verdict)
}

const (
	friendsAccept  = `-i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport %d --ctdir ORIGINAL -m set --match-set friends src -m comment --comment "dockerfw accept %s" -j ACCEPT`
	friendsDefault = `-i eth0 -m set ! --match-set friends src -m comment --comment "dockerfw default" -j DROP`
	dropAll        = `-i eth0 -m comment --comment "dockerfw default" -j DROP`
)

func friends(members ...string) string {
	text := "create friends hash:net family inet hashsize 1024 maxelem 65536\n"
	for _, m := range members {
		text += "add friends " + m + "\n"
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

// A set that many rules ask for grows by a network: that is one change, which says
// what its members may reach now.
func TestASetThatGrowsIsOneChange(t *testing.T) {
	var rules []string
	for i := range 8 {
		name := fmt.Sprint("r", i)
		rules = append(rules, fmt.Sprintf(friendsAccept, 5000+10*i, name))
	}
	rules = append(rules, dropAll)
	report := compare(t, Options{}, rules, friends("192.0.2.0/25"), rules, friends("192.0.2.0/24"))
	if report.Effect != Widened || len(report.Changes) != 1 {
		t.Fatalf("%s, %d changes", report.Effect, len(report.Changes))
	}
	c := report.Changes[0]
	if diff := cmp.Diff([]string{"192.0.2.128/25 by eth0 to published ports 5000, 5010, 5020, 5030, 5040, 5050, 5060, 5070/tcp"}, c.Packets); diff != "" {
		t.Error(diff)
	}
	if got := textOf(t, report, Style{}); !strings.Contains(got, `decided now by    accept "r0" (`) || !strings.Contains(got, ", and 4 more\n") {
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

// By one set some are let in that others do not let in any further: the verdicts
// tell the two apart.
func TestASetThatGrowsIsOneChangeForEachVerdict(t *testing.T) {
	rules := []string{fmt.Sprintf(friendsAccept, 5432, "pg"), friendsDefault}
	report := compare(t, Options{}, rules, friends("192.0.2.0/25"), rules, friends("192.0.2.0/24"))
	var got []string
	for _, c := range report.Changes {
		got = append(got, fmt.Sprintf("%s %s → %s: %s", c.Effect, Forwarded.verdicts(c.Old), Forwarded.verdicts(c.New), strings.Join(c.Packets, "; ")))
	}
	want := []string{
		"widened drop → left to Docker's rules: 192.0.2.128/25 by eth0 to everything that no other rule decides",
		"widened drop → accept: 192.0.2.128/25 by eth0 to published port 5432/tcp",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatChangesIsSaidInTheWordsOfPolicies(t *testing.T) {
	for _, c := range []struct{ old, now, want string }{
		{`-d 10.0.0.0/8 -j DROP`, ``, `anyone to anything at 10.0.0.0/8`},
		{`-p udp -j DROP`, ``, `anyone to anything by udp`},
		{`-o eth0 -j DROP`, ``, `anyone to anything out by eth0`},
		{`-o eth0 -d 10.0.0.1/32 -j DROP`, ``, `anyone to anything at 10.0.0.1, out by eth0`},
		{`-p tcp -m tcp --dport 80 -j DROP`, ``, `anyone to container port 80/tcp`},
		{`-p tcp -m tcp ! --dport 80 -j DROP`, ``, `anyone to any container port but 80/tcp`},
		{`-p tcp -m tcp --sport 53 -j DROP`, ``, `anyone from source port 53 to anything by tcp`},
		{`-p icmp -m icmp --icmp-type 8 -j DROP`, ``, `anyone to anything ICMP type 8`},
		{`-m conntrack --ctstate INVALID -j DROP`, ``, `anyone to anything only invalid packets`},
		{`-i eth0 -m conntrack --ctstate DNAT --ctdir ORIGINAL -j DROP`, ``, `anyone by eth0 to any published port`},
		{`-s 192.0.2.1/32 -j DROP`, ``, `192.0.2.1 to anything`},
		{`! -s 192.0.2.1/32 -j DROP`, ``, `anyone but 192.0.2.1 to anything`},
	} {
		report := compare(t, Options{}, ruleOrNone(c.old), "", ruleOrNone(c.now), "")
		if len(report.Changes) != 1 || strings.Join(report.Changes[0].Packets, "\n") != c.want {
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

func TestEffectsOfTargetsThatNobodyKnows(t *testing.T) {
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
