package plan_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// A rule of the input block of a policy, and what is left of it when nothing can be loaded.
func TestTheClosedTableKeepsTheInputBlockWithoutSetsAndLimits(t *testing.T) {
	const inner = `
	chain accept.ssh.host {
		limit rate 5/minute burst 5 packets log prefix "ssh " comment "dockerfw accept ssh"
		ct state new limit rate 5/minute burst 5 packets accept comment "dockerfw accept ssh"
	}

	chain deny.bad.host {
		limit rate 5/minute burst 5 packets log prefix "bad " comment "dockerfw deny bad"
		meta l4proto tcp reject with tcp reset comment "dockerfw deny bad"
		reject with icmpx admin-prohibited comment "dockerfw deny bad"
	}
`
	const default22 = `tcp dport 22 accept comment "dockerfw closed"` + "\n"
	for rule, want := range map[string]string{
		`tcp dport 22 accept comment "dockerfw accept ssh"`:                                                                             "same",
		`ip saddr { 192.0.2.1, 192.0.2.2 } tcp dport 22 accept comment "dockerfw accept ssh"`:                                           "same",
		`tcp dport 22 ip saddr @office.0000000a accept comment "dockerfw accept ssh"`:                                                   `tcp dport 22 accept comment "dockerfw accept ssh"`,
		`ct state new update @ssh.rate.0000000a { ip saddr limit rate 5/second burst 10 packets } accept comment "dockerfw accept ssh"`: `ct state new accept comment "dockerfw accept ssh"`,
		`add @ssh.connections.0000000a { ip saddr & 255.255.255.0 ct count 3 } accept comment "dockerfw accept ssh"`:                    `accept comment "dockerfw accept ssh"`,
		`tcp dport 22 ip saddr @office.0000000a jump accept.ssh.host comment "dockerfw accept ssh"`:                                     `tcp dport 22 accept comment "dockerfw accept ssh"`,
		`ip saddr 192.0.2.1 drop comment "dockerfw deny bad"`:                                                                           "same",
		`ip saddr @bad.0000000a drop comment "dockerfw deny bad"`:                                                                       "",
		`limit rate over 5/minute burst 5 packets drop comment "dockerfw deny bad"`:                                                     "",
		`limit rate 5/minute burst 5 packets log prefix "accept drop" comment "dockerfw deny bad"`:                                      "",
		`ip saddr 192.0.2.1 jump deny.bad.host comment "dockerfw deny bad"`:                                                             `ip saddr 192.0.2.1 drop comment "dockerfw deny bad"`,
		`ip saddr @bad.0000000a jump deny.bad.host comment "dockerfw deny bad"`:                                                         "",
		`drop comment "dockerfw default"`:                                                                                               "same",
		`ip saddr != @office.0000000a drop comment "dockerfw default"`:                                                                  default22 + `drop comment "dockerfw default"`,
		`meta l4proto tcp ip6 saddr != @office-v6.0000000a reject with tcp reset comment "dockerfw default"`:                            default22 + `meta l4proto tcp reject with tcp reset comment "dockerfw default"`,
	} {
		policy := table(t, `table inet dockerfw {
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
	}

	chain input {
		type filter hook input priority filter - 10; policy accept;
		iifname "eth0" jump dockerfw-host comment "dockerfw input"
	}
`+inner+`
	chain dockerfw-host {
		`+rule+`
	}
}
`)
		if want == "same" {
			want = rule
		}
		closed := plan.ClosedTable(policy)
		lines := closed.Object("chain", "dockerfw-host").Lines
		if got := strings.Join(lines[1:], "\n"); got != want {
			t.Errorf("%s:\n%s", rule, got)
		}
		if got := closed.Object("chain", "input").Lines; got[len(got)-1] != `iifname "eth0" jump dockerfw-host comment "dockerfw input"` {
			t.Errorf("%q", got)
		}
	}
}

// The tables of these tests. Each pair differs in something that a load has to handle.
const (
	tableA = `table inet dockerfw {
	set clients.0000000a {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.10, 198.51.100.0-198.51.100.9,
			     203.0.113.0/24 }
	}

	set bans {
		type ipv4_addr
		flags interval,timeout
	}

	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		iifname "eth0" jump dockerfw-in comment "dockerfw forward"
	}

	chain dockerfw-in {
		ct state established,related accept comment "dockerfw established"
		ip saddr @bans drop comment "dockerfw deny bans"
		ip saddr != @clients.0000000a drop comment "dockerfw default"
	}
}
`
	tableB = `table inet dockerfw {
	set clients.0000000b {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.10, 192.0.2.11 }
	}

	set bans {
		type ipv4_addr
		flags interval,timeout
	}

	set dockerfw-limit-web {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		iifname "eth0" jump dockerfw-in comment "dockerfw forward"
	}

	chain input {
		type filter hook input priority filter - 10; policy accept;
		iifname "eth0" tcp dport { 22, 443 } jump dockerfw-proxy comment "dockerfw input"
	}

	chain dockerfw-in {
		ct state established,related accept comment "dockerfw established"
		ct state new update @dockerfw-limit-web { ip saddr limit rate 5/second burst 10 packets } accept comment "dockerfw accept @clients.0000000a"
		ip saddr != @clients.0000000b drop comment "dockerfw default"
	}

	chain dockerfw-proxy {
		ip saddr != @clients.0000000b drop comment "dockerfw default"
	}
}
`
	tableC = `table inet dockerfw {
	set bans {
		type ipv6_addr
		flags interval,timeout
	}

	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		iifname { "eth0", "wg*" } drop comment "dockerfw default"
	}
}
`
)

func table(t fataler, text string) *plan.Table {
	t.Helper()
	out, err := plan.ParseTable([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ofTable(t fataler, text string) *plan.Version {
	t.Helper()
	v := nothing()
	v.Table = table(t, text)
	return v
}

func TestATableIsReadAndPrintedAsNFTListsIt(t *testing.T) {
	got := table(t, "# A comment.\ntable inet dockerfw\nflush table inet dockerfw\n"+tableA)
	set := got.Object("set", "clients.0000000a")
	if want := []string{"192.0.2.10", "198.51.100.0-198.51.100.9", "203.0.113.0/24"}; !slices.Equal(set.Elements, want) || !set.Managed() || set.Dynamic() {
		t.Errorf("%+v", set)
	}
	if got.Object("set", "bans").Managed() || got.CountRules() != 4 || len(got.Chains()) != 2 {
		t.Errorf("%+v", got)
	}
	again := table(t, string(got.Text()))
	if d := cmp.Diff(got, again); d != "" {
		t.Error(d)
	}
	// What others may put into the table.
	const foreign = "table inet dockerfw {\n\tflags dormant\n\n\tcounter c {\n\t\tpackets 0 bytes 0\n\t}\n\n\tct helper ftp {\n\t\ttype \"ftp\" protocol tcp\n\t\tl3proto inet\n\t}\n\n" +
		"\tset s {\n\t\ttype ipv4_addr\n\t\tflags timeout\n\t\telements = { 192.0.2.1 timeout 1h expires 59m comment \"a, b }\",\n\t\t\t     192.0.2.2 }\n\t}\n\n\tmap m {\n\t\ttype ipv4_addr : verdict\n\t\telements = { 192.0.2.1 : jump x }\n\t}\n}\n"
	got = table(t, foreign)
	if s := got.Object("set", "s"); len(s.Elements) != 2 || s.Elements[0] != `192.0.2.1 timeout 1h expires 59m comment "a, b }"` {
		t.Errorf("%q", s.Elements)
	}
	if got.Object("ct helper", "ftp") == nil || got.Object("map", "m") == nil || !slices.Equal(got.Options, []string{"flags dormant"}) {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{
		"", "table ip dockerfw {\n}\n", "table inet dockerfw {\n", "table inet dockerfw {\n\tchain x {\n\t}\n", "table inet dockerfw {\n\tchain x {\n",
		"table inet dockerfw {\n}\nflush ruleset\n", "flush ruleset\n" + tableA, "table inet dockerfw {\n\tset s {\n\t\telements = { 1.2.3.4\n\t}\n}\n",
		"table inet dockerfw {\nchain x {\n}\n}\n",
	} {
		if _, err := plan.ParseTable([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestAVersionWithATableIsEncoded(t *testing.T) {
	want := ofTable(t, tableB)
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got plan.Version
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Table, got.Table); d != "" {
		t.Error(d)
	}
}

// onlyStep is the only step of a plan, apart from one that creates new sets.
func onlyStep(t *testing.T, p *plan.Plan) string {
	t.Helper()
	steps := slices.Concat(p.Load, p.Settle)
	if len(steps) == 2 && strings.HasPrefix(steps[0].Name, "create the new sets") && !strings.Contains(string(steps[0].Input), "chain") {
		steps = steps[1:]
	}
	if len(steps) != 1 || steps[0].Tool != plan.NFT {
		t.Fatalf("%+v", steps)
	}
	return string(steps[0].Input)
}

func TestATableIsReplacedInOneTransaction(t *testing.T) {
	h := newHost(t, "", "")
	m := &machine{Host: h}
	b := ofTable(t, tableB)
	// The first load.
	if got := onlyStep(t, m.make(t, ofTable(t, tableA))); got != "table inet dockerfw\nflush table inet dockerfw\n"+strings.ReplaceAll(tableA, "192.0.2.10, ", "192.0.2.10,\n\t\t\t     ") {
		t.Error(got)
	}
	m.load(t, ofTable(t, tableA))
	h.Table.Object("set", "bans").Elements = []string{"192.0.2.66 timeout 1h expires 10m"}
	h.Table.Objects = append(h.Table.Objects, &plan.Object{Kind: "counter", Name: "foreign"})
	p := m.make(t, b)
	if sets := string(p.Load[0].Input); !strings.HasPrefix(sets, "table inet dockerfw {\n\tset clients.0000000b {\n") || !strings.Contains(sets, "elements = ") || strings.Contains(sets, "chain") {
		t.Errorf("the new set is not created before the rules:\n%s", sets)
	}
	got := onlyStep(t, p)
	const head = "table inet dockerfw\nflush table inet dockerfw\ndelete set inet dockerfw clients.0000000a\ndelete counter inet dockerfw foreign\ntable inet dockerfw {\n\tset clients.0000000b {\n"
	if !strings.HasPrefix(got, head) || strings.Contains(got, "192.0.2.66") {
		t.Error(got)
	}
	want := []string{
		"chain input of table inet dockerfw: create",
		"chain dockerfw-in of table inet dockerfw: replace the rules",
		"chain dockerfw-proxy of table inet dockerfw: create",
		"set clients.0000000b: add 1 entry, remove 2 entries",
		"set dockerfw-limit-web: create for the counts of a limit",
		"counter foreign of table inet dockerfw: remove",
	}
	slices.Sort(want)
	lines := slices.Sorted(slices.Values(p.Differences.Lines()))
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	m.load(t, b)
	if got := h.Table.Object("set", "bans").Elements; len(got) != 1 {
		t.Errorf("the unmanaged set has %q", got)
	}
	if p := m.make(t, b); !p.Differences.Empty() || len(p.Load) > 0 {
		t.Errorf("loading again: %q", p.Differences.Lines())
	}
	// Only a set that somebody has changed is written again, under its name.
	h.Table.Object("set", "clients.0000000b").Elements = []string{"0.0.0.0/0"}
	got = onlyStep(t, m.make(t, b))
	if !strings.Contains(got, "\nflush set inet dockerfw clients.0000000b\n") || !strings.Contains(got, "192.0.2.11") {
		t.Error(got)
	}
	m.load(t, b)
	h.Table.Object("chain", "forward").Lines = h.Table.Object("chain", "forward").Lines[:1]
	if got = onlyStep(t, m.make(t, b)); strings.Contains(got, "192.0.2.11") || strings.Contains(got, "delete") {
		t.Errorf("a set that stays is written: %s", got)
	}
	m.load(t, b)
	if got := onlyStep(t, m.make(t, nothing())); got != "table inet dockerfw\ndelete table inet dockerfw\n" {
		t.Error(got)
	}
	m.load(t, nothing())
	if h.Table != nil {
		t.Error("the table remains")
	}
}

// nft 1.0.6 leaves out a burst that is the default.
func TestADefaultBurstIsNoDifference(t *testing.T) {
	with := strings.Replace(tableA, "ip saddr @bans drop", "ip saddr @bans limit rate 10/minute burst 5 packets drop", 1)
	h := newHost(t, "", "")
	h.Table = table(t, strings.ReplaceAll(with, " burst 5 packets", ""))
	if p := (&machine{Host: h}).make(t, ofTable(t, with)); !p.Differences.Empty() {
		t.Errorf("%q", p.Differences.Lines())
	}
}

// The kernel creates no base chain in the transaction that activates a table.
func TestADormantTableIsActivatedAfterItIsLoaded(t *testing.T) {
	want, dormant := ofTable(t, tableB), ofTable(t, strings.Replace(tableA, "filter - 10", "filter - 5", 1))
	dormant.Table.Options = []string{"flags dormant"}
	h := newHost(t, "", "")
	h.Table = dormant.Table.Clone()
	m := &machine{Host: h}
	p := m.make(t, want)
	if len(p.Problems) > 0 || len(p.Load) != 2 || string(p.Load[1].Input) != "table inet dockerfw\n" {
		t.Fatalf("%v %+v", p.Problems, p.Load)
	}
	if got := string(p.Load[0].Input); !strings.HasPrefix(got, "flush table inet dockerfw\n") || !strings.Contains(got, "\ntable inet dockerfw {\n\tflags dormant\n") {
		t.Error(got)
	}
	m.load(t, want)
	if len(h.Table.Options) > 0 || !inForce(t, h, want) {
		t.Errorf("%+v", h.Table)
	}
	// A rollback leaves the table as it was: its rules had no effect.
	p = m.make(t, dormant)
	if n := len(p.Load); n != 2 || string(p.Load[1].Input) != "table inet dockerfw {\n\tflags dormant\n}\n" {
		t.Fatalf("%+v", p.Load)
	}
	m.load(t, dormant)
	if !slices.Equal(h.Table.Options, []string{"flags dormant"}) || !inForce(t, h, dormant) {
		t.Errorf("%+v", h.Table)
	}
	if p := m.make(t, dormant); len(p.Load) > 0 {
		t.Errorf("a dormant table that stays as it is is changed: %+v", p.Load)
	}
}

func TestABaseChainWithAnotherHookIsAProblem(t *testing.T) {
	for _, other := range []string{"filter - 5", "-20"} {
		h := newHost(t, "", "")
		h.Table = table(t, strings.Replace(tableA, "filter - 10", other, 1))
		in := plan.Input{Host: h, Want: ofTable(t, tableA)}
		p, err := plan.Make(in)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Problems) != 1 || !strings.Contains(p.Problems[0].Text, "--force") || !strings.Contains(p.Problems[0].Text, "priority "+other) {
			t.Fatalf("%q", p.Problems)
		}
		in.Force = true
		if p, err = plan.Make(in); err != nil || len(p.Problems) > 0 {
			t.Fatal(err, p.Problems)
		}
		if got := onlyStep(t, p); !strings.Contains(got, "\ndelete chain inet dockerfw forward\n") {
			t.Error(got)
		}
		if err := h.Run(p.Load[0]); err != nil {
			t.Error(err)
		}
	}
}

// inForce reports whether a host has the rules and sets of a version: all of those of its target.
func inForce(t fataler, h *plan.Host, v *plan.Version) bool {
	t.Helper()
	p, err := plan.Make(plan.Input{Host: h, Want: v, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	d := p.Differences
	if v.Table != nil {
		// A set that no rule uses changes nothing.
		used := func(c plan.SetChange) bool { return !c.Deleted }
		return d.Table == nil || len(d.Table.Chains)+len(d.Table.Deleted) == 0 && !d.Table.Activate && !d.Table.Deactivate && !slices.ContainsFunc(d.Table.Sets, used)
	}
	return len(d.Chains)+len(d.Jumps)+len(d.Sets) == 0
}

// A plan from one target to another, or from one table to another, may be cut off after each step: the
// old or the new rules are in force, the next plan completes it, and the plan to the version before undoes it.
func TestATableMayBeCutOffAnywhere(t *testing.T) {
	t.Parallel()
	all := map[string]*plan.Version{"a": ofTable(t, tableA), "b": ofTable(t, tableB), "c": ofTable(t, tableC), "none": nothing()}
	for _, v := range versions(t)[:4] {
		all[v.name] = v.Version
	}
	for fromName, from := range all {
		for toName, to := range all {
			if from.Table == nil && to.Table == nil {
				continue // TestAnyPlanMayBeCutOffAnywhere
			}
			name := fmt.Sprintf("from %s to %s", fromName, toName)
			m := &machine{Host: newHost(t, dockers, "")}
			m.load(t, from)
			if from.Table != nil {
				m.Table.Object("set", "bans").Elements = []string{"192.0.2.66 timeout 1h expires 10m"}
			}
			start := m.Table.Clone()
			before := m.Before(to, plan.Records{Made: m.made, Unmanaged: m.unmanaged})
			p := m.make(t, to)
			m.begin(p)
			left := len(p.Load)
			for i, s := range append([]plan.Step{{}}, slices.Concat(p.Load, p.Settle)...) {
				if i > 0 {
					if err := m.Run(s); err != nil {
						t.Fatalf("%s: %s: %v\n%s", name, s.Name, err, s.Input)
					}
					left--
				}
				if !inForce(t, m.Host, from) && !inForce(t, m.Host, to) {
					t.Errorf("%s: after %q neither version is in force", name, s.Name)
				}
				if left == 0 && !inForce(t, m.Host, to) {
					t.Errorf("%s: it is not in force after the last step", name)
				}
				names := setNames(from, to)
				if err := complete(t, m.copy(), to, names, false); err != nil {
					t.Errorf("%s: completed after %q: %v", name, s.Name, err)
				}
				rolled := m.copy()
				if err := complete(t, rolled, before, names, false); err != nil {
					t.Errorf("%s: rolled back after %q: %v", name, s.Name, err)
				}
				if d := cmp.Diff(sorted(start), sorted(rolled.Table)); d != "" {
					t.Errorf("%s: rolled back after %q: %s", name, s.Name, d)
				}
				for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
					if from.Table != nil && plan.HasOwn(rolled.Rules[f]) {
						t.Errorf("%s: rolled back after %q, IPv%d has rules of iptables", name, s.Name, f)
					}
				}
			}
		}
	}
}

// sorted are the objects of a table by name: nft creates one that was deleted at the end.
func sorted(t *plan.Table) []*plan.Object {
	if t == nil {
		return nil
	}
	return slices.SortedFunc(slices.Values(t.Objects), func(a, b *plan.Object) int { return strings.Compare(a.Kind+a.Name, b.Kind+b.Name) })
}

// What uses a set or a chain keeps it from being deleted, in the simulation as in the kernel.
func TestTheSimulatedTableRefusesWhatTheKernelRefuses(t *testing.T) {
	for _, bad := range []string{
		"table inet dockerfw\ndelete set inet dockerfw clients.0000000a\n",
		"table inet dockerfw\ndelete chain inet dockerfw dockerfw-in\n",
		"table inet dockerfw\nflush table inet dockerfw\ndelete set inet dockerfw missing\n",
		"flush set inet dockerfw missing\n",
		"reset rules\n",
		strings.Replace(tableA, "filter - 10", "filter - 5", 1),
		strings.Replace(tableA, "ipv4_addr", "ipv6_addr", 1),
		strings.Replace(tableA, "@bans", "@missing", 1),
		"",
	} {
		h := newHost(t, "", "")
		h.Table = table(t, tableA)
		if bad == "" {
			h.Table = nil
		}
		if err := h.Run(plan.Step{Tool: plan.NFT, Input: []byte(bad)}); err == nil {
			t.Errorf("no error for %s", bad)
		} else if h.Table != nil && cmp.Diff(table(t, tableA), h.Table) != "" {
			t.Errorf("%q changed the table", bad)
		}
	}
}

func TestTheClosedTableDropsWhatArrivesOutside(t *testing.T) {
	got := string(plan.ClosedTable(table(t, tableB)).Text())
	const want = `table inet dockerfw {
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		ct state established,related accept comment "dockerfw closed"
		iifname "eth0" drop comment "dockerfw closed"
	}

	chain input {
		type filter hook input priority filter - 10; policy accept;
		ct state established,related accept comment "dockerfw closed"
		iifname "eth0" tcp dport { 22, 443 } drop comment "dockerfw closed"
	}
}
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !plan.IsClosed(table(t, got)) || plan.IsClosed(table(t, tableB)) || plan.IsClosed(nil) {
		t.Error("the closed table is not recognized, or another one is")
	}
	if got := string(plan.ClosedTable(table(t, tableC)).Text()); !strings.Contains(got, "iifname \"eth0\" drop comment \"dockerfw closed\"\n\t\tiifname \"wg*\" drop comment \"dockerfw closed\"\n") {
		t.Error(got)
	}
	if got := string(plan.ClosedTable(nil).Text()); !strings.Contains(got, "iifname \"br-*\" accept comment \"dockerfw closed\"\n\t\tiifname \"docker*\" accept comment \"dockerfw closed\"\n\t\tdrop comment") {
		t.Error(got)
	}
}
