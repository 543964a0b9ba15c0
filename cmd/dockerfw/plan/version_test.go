package plan_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// printed is everything of a version.
func printed(v *plan.Version) string {
	var b strings.Builder
	for _, f := range families {
		if r := v.Rules[f]; r != nil {
			fmt.Fprintln(&b, f, r.Target, r.NoJump, r.Filter == nil, r.Security == nil)
		}
		b.Write(v.IntoEmpty(f, false))
	}
	b.Write(v.EmptySets())
	fmt.Fprintln(&b, v.Sets.Names(), v.Unmanaged.Names())
	return b.String()
}

func TestVersionsInJSON(t *testing.T) {
	var all []named
	for _, v := range versions(t) {
		all = append(all, v)
		m := &machine{Host: newHost(t, dockers, sets)}
		m.load(t, v.Version)
		all = append(all, named{"before, of " + v.name, m.Before(version(t, "clients"), plan.Records{Made: m.made, Unmanaged: m.unmanaged})})
		first := newHost(t, dockers, sets).Before(v.Version, plan.Records{})
		all = append(all, named{"before the first load of " + v.name, first})
	}
	for _, v := range all {
		text, err := json.Marshal(v.Version)
		if err != nil {
			t.Fatal(v.name, err)
		}
		var back plan.Version
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(v.name, err)
		}
		if got, want := printed(&back), printed(v.Version); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", v.name, got, want)
		}
		again, err := json.Marshal(&back)
		if err != nil || !bytes.Equal(text, again) {
			t.Errorf("%s: %s, then %s (%v)", v.name, text, again, err)
		}
	}
	for _, text := range []string{
		`[]`,
		`{"rules": {"ipv4": {"tables": "*filter\n-A X\nCOMMIT\n*nat\nCOMMIT\n"}}}`,
		`{"rules": {"ipv4": {"tables": "*filter\n-A X --what\n"}}}`,
		`{"sets": "add missing 192.0.2.1\n"}`,
		`{"unmanaged": "create a hash:what family inet7\n"}`,
	} {
		var v plan.Version
		if err := json.Unmarshal([]byte(text), &v); err == nil {
			t.Errorf("%s is read", text)
		}
	}
}

// Entries keep their options, and sets in use as NAME-alt get their names, when a host's state is
// saved before a load.
func TestBefore(t *testing.T) {
	const saved = `create clients-alt hash:net family inet hashsize 1024 maxelem 9 timeout 600 comment counters bucketsize 12 initval 0x12345678
add clients-alt 192.0.2.10 timeout 599 packets 3 bytes 180 comment "the office"
create clients hash:net family inet hashsize 1024 maxelem 9
add clients 192.0.2.99
create known-alt list:set size 8
add known-alt clients-alt
`
	h := newHost(t, dockers, saved)
	load(t, h.Rules, "*filter\n-I DOCKER-USER 1 -m set --match-set known-alt src -m comment --comment \"dockerfw deny x\" -j DROP\nCOMMIT\n")
	loadFamily(t, h, ir.IPv4, "*filter\n-A DOCKER-USER -m set --match-set clients-alt src -m comment --comment \"not --match-set clients-alt src\" -j ACCEPT\nCOMMIT\n")
	v := h.Before(nothing(), plan.Records{})
	want := `create clients hash:net family inet hashsize 1024 maxelem 9 timeout 600 comment counters
add clients 192.0.2.10 timeout 599 packets 3 bytes 180 comment "the office"
create known list:set size 8
add known clients
`
	if got := string(v.EmptySets()); got != want {
		t.Errorf("the sets are\n%s\nwant\n%s", got, want)
	}
	if got := v.Rules[ir.IPv6].Filter.Commands; len(got) != 1 || got[0].Op != iptables.Insert || got[0].Rule.Text != `-m set --match-set known src -m comment --comment "dockerfw deny x" -j DROP` {
		t.Errorf("the rules are %v", got)
	}
	// In a chain that is replaced, foreign rules are part of the state.
	v = h.Before(version(t, "clients"), plan.Records{})
	var texts []string
	for _, c := range v.Rules[ir.IPv4].Filter.Commands {
		texts = append(texts, c.String())
	}
	if want := []string{
		":DOCKER-USER -",
		`-A DOCKER-USER -m set --match-set known src -m comment --comment "dockerfw deny x" -j DROP`,
		"-A DOCKER-USER -j RETURN",
		`-A DOCKER-USER -m set --match-set clients-alt src -m comment --comment "not --match-set clients-alt src" -j ACCEPT`,
	}; !slices.Equal(texts, want) {
		t.Errorf("the rules are %q, want %q", texts, want)
	}
}

// A jump that foreign rules are ahead of is there again, in its place, after a rollback, although
// the chain was replaced.
func TestRollbackOfAReplacedChain(t *testing.T) {
	m := &machine{Host: newHost(t, dockers, "")}
	m.load(t, version(t, "a jump"))
	load(t, m.Rules, "*filter\n-I DOCKER-USER 1 -s 203.0.113.9/32 -j DROP\nCOMMIT\n")
	chain := func() string {
		var b strings.Builder
		for _, r := range m.Rules[ir.IPv4].Table("filter").Chain("DOCKER-USER").Rules {
			b.WriteString(r.Text + "\n")
		}
		return b.String()
	}
	want := chain()
	before := m.Before(version(t, "a list of sets"), plan.Records{Made: m.made, Unmanaged: m.unmanaged})
	m.load(t, version(t, "a list of sets"))
	if chain() == want {
		t.Fatal("nothing was replaced")
	}
	m.load(t, before)
	if got := chain(); got != want {
		t.Errorf("rolled back to\n%s\nwant\n%s", got, want)
	}
}

// A set that a policy no longer fills has its earlier content again after a rollback, and is never
// destroyed.
func TestSetThatBecomesUnmanagedAndBack(t *testing.T) {
	clients, unmanaged := version(t, "clients"), version(t, "an unmanaged set")
	m := &machine{Host: newHost(t, dockers, "")}
	m.load(t, clients)
	made, recorded := m.made, m.unmanaged
	before := m.Before(unmanaged, plan.Records{Made: m.made, Unmanaged: m.unmanaged})
	p := m.make(t, unmanaged)
	for _, s := range slices.Concat(p.Load, p.Settle) {
		if err := m.Run(s); err != nil {
			t.Fatal(err)
		}
	}
	loadSets(t, m.Sets, "add clients 192.0.2.77\n")
	m.made, m.unmanaged = p.Made, p.Unmanaged
	rolled := m.copy()
	rolled.load(t, before)
	rolled.made, rolled.unmanaged = made, recorded
	if got := content(rolled.Sets, "clients"); got != "hash:net 192.0.2.10" {
		t.Errorf("rolled back to %s", got)
	}
	m.end(p, unmanaged)
	m.load(t, version(t, "inserted"))
	m.load(t, nothing())
	if m.Sets.Set("clients") != nil {
		t.Error("a set that was taken over by force is left over")
	}
	// Without force, and never in the meantime, is it dockerfw's.
	m = &machine{Host: newHost(t, dockers, "create clients hash:net\nadd clients 192.0.2.1\n")}
	m.load(t, unmanaged)
	m.load(t, version(t, "egress, without IPv6"))
	if len(m.make(t, nothing()).Problems) > 0 {
		t.Error("problems")
	}
}

// A set that was recorded, was destroyed, and that others have made since, stays.
func TestRecordedSetThatDoesNotExist(t *testing.T) {
	m := &machine{Host: newHost(t, dockers, ""), made: []string{"gone"}}
	p := m.make(t, version(t, "clients"))
	if slices.Contains(p.Made, "gone") {
		t.Error("a set that does not exist is still recorded")
	}
	m.load(t, version(t, "clients"))
	loadSets(t, m.Sets, "create gone hash:ip\n")
	m.load(t, nothing())
	if m.Sets.Set("gone") == nil {
		t.Error("a foreign set was destroyed")
	}
}

func TestPlansAreDeterministic(t *testing.T) {
	all := versions(t)
	for i, from := range all {
		to := all[(i+3)%len(all)]
		m := &machine{Host: newHost(t, dockers, "")}
		m.load(t, from.Version)
		m.begin(m.make(t, to.Version))
		p := m.make(t, to.Version)
		for n, s := range atoms(p.Load) {
			for range 2 {
				a, b := m.make(t, to.Version), m.copy().make(t, to.Version)
				if a != nil && (text(a) != text(b) || fmt.Sprint(a.Made, a.Left, a.Differences) != fmt.Sprint(b.Made, b.Left, b.Differences)) {
					t.Fatalf("from %s to %s, cut off after %d: once\n%s\nand once\n%s", from.name, to.name, n, text(a), text(b))
				}
			}
			if err := m.Run(s); err != nil {
				t.Fatal(err)
			}
		}
	}
}
