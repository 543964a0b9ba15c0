package outcome

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

var version = &Version{Folder: "/etc/dockerfw.d/2", Digest: "0123456789abcdef", Host: "web1", Policy: []string{"policy.hcl"}, Backend: "nft"}

func written(t *testing.T, r *Report, style Style) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteText(&b, r, style); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func requireText(t *testing.T, r *Report, style Style, want string) {
	t.Helper()
	if d := cmp.Diff(strings.TrimPrefix(want, "\n"), written(t, r, style)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestALoadIsReportedWithALineForEachFact(t *testing.T) {
	r := newReport("apply", Waiting)
	r.Version, r.Rules, r.Sets = version, 14, 1
	r.BackendNote = "Docker has not run: the tables that were used last"
	r.Changes = []string{"IPv4 DOCKER-USER: replace the rules", "set clients: add 1 entry"}
	r.Moved = []Moved{{Family: "ipv4", Table: "filter", Chain: "FORWARD", To: "DOCKER-USER", Behind: "-j NETBIRD", Example: "tcp 1 -> 2"}}
	r.Meaning = &Meaning{Skipped: "the policy is large"}
	r.Facts = []facts.Fact{{Name: "fallback", Status: facts.Warning, Text: "IPv4: no security table"}, {Name: "x", Status: facts.OK, Text: "all is well"}}
	r.Kept = []string{"old"}
	r.seconds = 60
	r.next(&apply.Result{}, apply.Options{}, apply.BootUnit{})
	requireText(t, r, Style{}, `
loaded /etc/dockerfw.d/2 for host web1, compiled from policy.hcl (0123456789ab): 14 rules and 1 set, with iptables-nft
note: Docker has not run: the tables that were used last
changed:
  IPv4 DOCKER-USER: replace the rules
  set clients: add 1 entry
moved the jump to DOCKER-USER in FORWARD (IPv4) to the head of the chain: it was behind -j NETBIRD, which lets through packets that the rules refuse
  for example tcp 1 -> 2
traffic: not compared with before (the policy is large). Before a load, this shows it: dockerfw diff live /etc/dockerfw.d/2
warning: IPv4: no security table
all is well
kept, because foreign rules use them: old
next: rolling back in 60 seconds unless you confirm:
  dockerfw confirm
`)
}

func TestNothingToDoIsOneLine(t *testing.T) {
	r := newReport("apply", Current)
	r.Version = version
	requireText(t, r, Style{Color: true}, "nothing to do: the folder is already loaded: /etc/dockerfw.d/2 for host web1, compiled from policy.hcl (0123456789ab)\n")
}

// The record of a folder with the same rules is replaced, which is said: another version of dockerfw
// may have compiled it.
func TestALoadThatChangesOnlyTheRecordSaysSo(t *testing.T) {
	in := func(digest, program string) *store.InForce {
		return &store.InForce{Folder: "/etc/dockerfw.d/" + digest, Digest: digest, Host: "web1", Policy: []string{"policy.hcl"}, Version: program}
	}
	host := &snapshot.Host{Name: snapshot.LiveName, Kind: snapshot.Live}
	const has = "nothing to load: the host already has the rules and sets of /etc/dockerfw.d/2 for host web1, compiled from policy.hcl (2)\n"
	for name, c := range map[string]struct {
		was                    *store.InForce
		applied, dryRun, other string
	}{
		"the same folder": {was: in("2", "1.1"), applied: "nothing to do: the folder is already loaded: /etc/dockerfw.d/2 for host web1, compiled from policy.hcl (2)\n"},
		"another program": {
			was: in("1", "1.0"), other: "1",
			applied: has + "it is recorded now in place of /etc/dockerfw.d/1 for host web1, compiled from policy.hcl (1), which dockerfw 1.0 compiled, not 1.1\n",
			dryRun:  has + "a load records it in place of /etc/dockerfw.d/1 for host web1, compiled from policy.hcl (1), which dockerfw 1.0 compiled, not 1.1\n",
		},
		"another policy": {
			was: in("1", "1.1"), other: "1",
			applied: has + "it is recorded now in place of /etc/dockerfw.d/1 for host web1, compiled from policy.hcl (1)\n",
			dryRun:  has + "a load records it in place of /etc/dockerfw.d/1 for host web1, compiled from policy.hcl (1)\n",
		},
		"no record": {
			applied: has + "no version was recorded as in force; it is recorded now\n",
			dryRun:  has + "no version was recorded as in force; a load records it\n",
		},
	} {
		result := &apply.Result{Loaded: in("2", "1.1"), Want: host, Before: host, Plan: &plan.Plan{Differences: &plan.Differences{}}, Was: c.was}
		if c.dryRun == "" {
			c.dryRun = c.applied
		}
		for dryRun, want := range map[bool]string{false: c.applied, true: c.dryRun} {
			early := &Early{DryRun: dryRun}
			early.Planned(*result)
			early.Loaded(*result)
			r, err := Apply(result, apply.Options{DryRun: dryRun}, early, apply.BootUnit{})
			if err != nil {
				t.Fatal(err)
			}
			if got := written(t, r, Style{}); got != want {
				t.Errorf("%s, dry run: %t\n%swant\n%s", name, dryRun, got, want)
			}
			if replaced := r.Replaced; (replaced == nil) != (c.other == "") || replaced != nil && replaced.Digest != c.other {
				t.Errorf("%s: %+v", name, replaced)
			}
		}
	}
}

func differences() *plan.Differences {
	return &plan.Differences{
		Chains: []plan.ChainChange{
			{Family: ir.IPv4, Table: "filter", Chain: "DOCKER-USER", Kind: plan.Replace, Before: []string{"-p tcp -j ACCEPT", "-j DROP"}, After: []string{"-p udp -j ACCEPT", "-j DROP"}},
			{Family: ir.IPv6, Table: "security", Chain: "DOCKERFW", Kind: plan.Remove, Before: []string{"-j DROP"}},
		},
		Jumps: []plan.JumpChange{{Jump: plan.Jump{Family: ir.IPv4, Table: "filter", Chain: "FORWARD", To: "DOCKER-USER"}, Late: true}},
		Sets:  []plan.SetChange{{Name: "clients", Added: []string{"192.0.2.1", "192.0.2.2"}, Removed: []string{"192.0.2.3"}}},
	}
}

func dryRun() *Report {
	r := newReport("apply", Planned)
	r.Version, r.Rules, r.Sets = version, 2, 1
	d := differences()
	r.Changes = d.Lines()[:1]
	r.Plan = planOf(&plan.Plan{
		Differences: d,
		Load:        []plan.Step{{Name: "create the new sets", Tool: plan.IPSet}, {Name: "change the rules (IPv6)", Tool: plan.IPTables, Family: ir.IPv6}},
		Settle:      []plan.Step{{Name: "destroy sets that are not needed", Tool: plan.IPSet}},
	})
	return r
}

func TestADryRunPrintsThePlan(t *testing.T) {
	requireText(t, dryRun(), Style{}, `
would load /etc/dockerfw.d/2 for host web1, compiled from policy.hcl (0123456789ab): 2 rules and 1 set, with iptables-nft
would change:
  IPv4 DOCKER-USER: replace the rules
  --- IPv4, table filter: now
  +++ IPv4, table filter: after loading
  @@ -1,4 +1,4 @@
  --A FORWARD -j DOCKER-USER
  +-I FORWARD 1 -j DOCKER-USER
   :DOCKER-USER
  --A DOCKER-USER -p tcp -j ACCEPT
  +-A DOCKER-USER -p udp -j ACCEPT
   -A DOCKER-USER -j DROP
  --- IPv6, table security: now
  +++ IPv6, table security: after loading
  @@ -1,2 +0,0 @@
  -:DOCKERFW
  --A DOCKERFW -j DROP
set clients changes
  -192.0.2.3
  +192.0.2.1
  +192.0.2.2
steps:
  1. create the new sets (ipset restore)
  2. change the rules (IPv6) (ip6tables-restore --noflush)
  3. destroy sets that are not needed (ipset restore)
If a step up to 2 fails, the rules and sets from before are restored; if a later one fails, the new rules stay in force.
`)
}

func TestOnlyTheFirstEntriesAreListed(t *testing.T) {
	r := dryRun()
	r.Plan.Sets[0].Added = strings.Fields(strings.Repeat("192.0.2.1 ", maxEntriesListed+5))
	if text := written(t, r, Style{}); strings.Count(text, "+192.0.2.1") != maxEntriesListed || !strings.Contains(text, "… and 5 more (--full lists them)") {
		t.Error(text)
	}
	if text := written(t, r, Style{Full: true}); strings.Count(text, "+192.0.2.1") != maxEntriesListed+5 {
		t.Error(text)
	}
}

func TestForeignTextDoesNotControlATerminal(t *testing.T) {
	r := dryRun()
	r.Deleted = []string{"-A DOCKER-USER -m comment --comment \x1b[2J"}
	r.Plan.Sets[0].Added = []string{"\x1b]0;x\a"}
	if text := written(t, r, Style{}); strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
	if text := written(t, r, Style{Color: true}); !strings.Contains(text, "\x1b[32m+") || strings.Contains(text, "\x1b[2J") {
		t.Errorf("%q", text)
	}
}

func TestAFailureHasAStateAndNoText(t *testing.T) {
	for state, want := range map[apply.State]State{apply.Unchanged: Unchanged, apply.RolledBack: RolledBack, apply.Unknown: Unknown, apply.Closed: Closed} {
		r := Failed("apply", &apply.Failure{Err: errors.New("no ipset"), Rollback: errors.New("x"), State: state})
		if r.State != want || r.OK || !strings.HasPrefix(r.Error, "no ipset") {
			t.Errorf("%v: %+v", state, r)
		}
		if text := written(t, r, Style{}); text != "" {
			t.Errorf("%v: %s", state, text)
		}
	}
}

func TestAFailedRollbackNamesTheCommand(t *testing.T) {
	failure := &apply.Failure{Err: errors.New("no ipset"), Rollback: errors.New("x"), State: apply.Unknown, Command: "dockerfw remove"}
	if r := Failed("apply", failure); len(r.Next) != 1 || r.Next[0].Command != "dockerfw remove" {
		t.Errorf("%+v", r.Next)
	}
}

// Programs read lists without checking for null.
func TestJSONHasListsForNothing(t *testing.T) {
	var b bytes.Buffer
	if err := WriteJSON(&b, Failed("confirm", errors.New("no change waits")), Style{}); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"operation": "confirm", "ok": false, "state": "unchanged", "error": "no change waits", "rules": 0.0, "sets": 0.0,
		"changes": []any{}, "moved": []any{}, "deleted": []any{}, "facts": []any{}, "kept": []any{}, "next": []any{},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestADryRunOrARemovalWithNothingToDo(t *testing.T) {
	planned := newReport("apply", Planned)
	planned.Version = version
	requireText(t, planned, Style{}, `
nothing to do: the folder is already loaded: /etc/dockerfw.d/2 for host web1, compiled from policy.hcl (0123456789ab)
`)
	// A killed removal leaves what is no difference of rules.
	removed := newReport("remove", Removed)
	requireText(t, removed, Style{}, `
removed: no dockerfw rules remain. Published ports are open to everyone, unless other rules refuse
`)
	removed.nothing = true
	requireText(t, removed, Style{}, `
nothing to remove: this host has no dockerfw rules. Published ports are open to everyone, unless other rules refuse
`)
}

// What a dry run shows as next would be refused without its options.
func TestTheCommandAfterADryRunHasItsOptions(t *testing.T) {
	r := newReport("apply", Planned)
	r.Changes = []string{"IPv4 DOCKER-USER: add the rules"}
	r.next(&apply.Result{Folder: "/etc/dockerfw.d/1"}, apply.Options{DryRun: true, Force: true, AllowMissing: true, Backend: snapshot.Legacy}, apply.BootUnit{})
	const want = "dockerfw apply --confirm 60 --force --allow-missing-interface --backend legacy /etc/dockerfw.d/1"
	if len(r.Next) != 1 || r.Next[0].Command != want {
		t.Errorf("%+v", r.Next)
	}
}

func TestWhatToDoAboutTheBoot(t *testing.T) {
	enable := "dockerfw apply --print-unit > /etc/systemd/system/dockerfw.service && systemctl enable --now dockerfw"
	link := "ln -sfn /etc/dockerfw.d/2 /etc/dockerfw"
	for _, c := range []struct {
		name string
		boot apply.BootUnit
		want []string
	}{
		{"no systemd", apply.BootUnit{}, nil},
		{"nothing", apply.BootUnit{Systemd: true}, []string{link, enable}},
		{"another folder", apply.BootUnit{Systemd: true, Enabled: true, Folder: "/etc/dockerfw.d/1"}, []string{link}},
		{"an equal folder", apply.BootUnit{Systemd: true, Enabled: true, Folder: "/etc/dockerfw.d/1", Digest: "0123456789abcdef"}, nil},
		{"in order", apply.BootUnit{Systemd: true, Enabled: true, Folder: "/etc/dockerfw.d/2"}, nil},
	} {
		r := newReport("apply", Loaded)
		r.Version = &Version{Folder: "/etc/dockerfw.d/2", Digest: "0123456789abcdef"}
		r.next(&apply.Result{Folder: "/etc/dockerfw.d/2", Deadline: time.Time{}}, apply.Options{}, c.boot)
		var got []string
		for _, s := range r.Next {
			got = append(got, s.Command)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, d)
		}
	}
}
