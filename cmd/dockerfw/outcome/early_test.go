package outcome

import (
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/apply"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// loadOf is a load of a policy for port 80 onto a host that has no rules of dockerfw.
func loadOf(t *testing.T) apply.Result {
	t.Helper()
	want := open(t, "policy.hcl", "host {\n  external_interfaces = [\"eth0\"]\n  families = [\"ipv4\"]\n}\naccept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [80]\n}\n")
	before := open(t, "rules.v4", "*mangle\n:FORWARD ACCEPT [0:0]\n-A FORWARD -i eth0 -j DROP\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\nCOMMIT\n")
	after, err := want.LoadedOnto(before)
	if err != nil {
		t.Fatal(err)
	}
	return apply.Result{Folder: "/etc/dockerfw.d/2", Want: want, Before: before, After: after, Plan: &plan.Plan{Differences: &plan.Differences{}, Load: make([]plan.Step, 1)}}
}

func TestTheReportOfALoadHasWhatWasComputedMeanwhile(t *testing.T) {
	r := loadOf(t)
	for _, dryRun := range []bool{false, true} {
		early := &Early{DryRun: dryRun}
		planned := r
		planned.After = nil
		early.Planned(planned)
		if !dryRun {
			early.Loaded(r)
		}
		out, err := Apply(&r, apply.Options{DryRun: dryRun}, early, apply.BootUnit{})
		if err != nil {
			t.Fatal(err)
		}
		if out.Meaning == nil || out.Meaning.Skipped != "" || !strings.Contains(out.Meaning.Summary, "newly blocked") {
			t.Errorf("dry run %v: %+v", dryRun, out.Meaning)
		}
		found := false
		for _, f := range out.Facts {
			found = found || strings.HasPrefix(f.Text, `accept "web" has no effect`)
		}
		if !found {
			t.Errorf("dry run %v: the rule of mangle is not reported: %+v", dryRun, out.Facts)
		}
	}
}

func TestALoadWithNothingToDoHasNoMeaning(t *testing.T) {
	r := loadOf(t)
	r.Before, r.After, r.Plan = r.After, nil, &plan.Plan{Differences: &plan.Differences{}}
	early := &Early{}
	early.Planned(r)
	early.Loaded(r)
	out, err := Apply(&r, apply.Options{}, early, apply.BootUnit{})
	if err != nil || out.Meaning != nil || out.State != Current {
		t.Errorf("%v, %s, %+v", err, out.State, out.Meaning)
	}
}

// A fault in a report is reported, after what is true of the load.
func TestAPanicWhileALoadRunsIsAnErrorAfterIt(t *testing.T) {
	r := loadOf(t)
	broken := r
	broken.Want = nil
	early := &Early{}
	early.Planned(broken)
	early.Loaded(broken)
	out, err := Apply(&r, apply.Options{}, early, apply.BootUnit{})
	if err == nil || strings.Count(err.Error(), "internal error: ") != 2 || !strings.Contains(err.Error(), "please report it") {
		t.Fatal(err)
	}
	if out.State != Loaded || !out.OK || out.Meaning == nil || !strings.HasPrefix(out.Meaning.Skipped, "internal error: ") {
		t.Errorf("%+v, %+v", out, out.Meaning)
	}
	if last := out.Facts[len(out.Facts)-1]; last.Status != facts.Warning || !strings.Contains(last.Text, "were not checked: internal error: ") {
		t.Errorf("%+v", last)
	}
}

// The load goes on with the hosts that a report is computed from: with -race, this fails if they share
// what is computed on first use.
func TestAReportIsComputedWhileTheHostsAreUsed(t *testing.T) {
	for range 5 {
		r := loadOf(t)
		early := &Early{}
		early.Planned(r)
		early.Loaded(r)
		for _, h := range []*snapshot.Host{r.Want, r.Before, r.After} {
			for _, f := range h.Families() {
				h.Members()
				h.Program(f, "FORWARD")
				for _, table := range h.Rules[f].Tables {
					for _, c := range table.Chains {
						for _, rule := range c.Rules {
							h.Rules[f].Canonical(rule)
						}
					}
				}
			}
		}
		if _, err := Apply(&r, apply.Options{}, early, apply.BootUnit{}); err != nil {
			t.Fatal(err)
		}
	}
}
