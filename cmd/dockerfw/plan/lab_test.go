package plan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

var families = []ir.Family{ir.IPv4, ir.IPv6}

// fataler is a test, or a check of a property.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// compiled is the version of a policy, with fallback rules; nil if the policy has errors.
func compiled(dir, text string) (*plan.Version, error) {
	path := filepath.Join(dir, "policy.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	fleet, diags, err := snapshot.Open(path, driver.Options{})
	if err == nil && diags.HasErrors() {
		err = diags
	}
	if err != nil {
		return nil, err
	}
	v := fleet.Hosts[0].Version()
	for _, r := range v.Rules {
		if r.Security == nil {
			r.Security, err = fallback(r)
		}
	}
	return v, err
}

func compile(t testing.TB, text string) *plan.Version {
	t.Helper()
	v, err := compiled(t.TempDir(), text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var limit = regexp.MustCompile(` -m (limit|hashlimit|connlimit)( --(limit|hashlimit|connlimit)[a-z-]*( [^ -][^ ]*)?)+`)

// fallback are the rules of the filter table that refuse packets, for the security table: they
// neither log nor count, and accept nothing.
func fallback(r *plan.Rules) (*iptables.Block, error) {
	if r.Target == "DOCKER" {
		return nil, nil
	}
	var chains, rules []string
	for _, c := range r.Filter.Commands {
		if c.Rule == nil || c.Chain == ir.InputChain || c.Chain == ir.ProxyChain || strings.Contains(c.Rule.Text, " -j LOG ") {
			continue
		}
		text := limit.ReplaceAllString(" "+c.Rule.Text, "")
		refuses := c.Rule.Jump == "DROP" || c.Rule.Jump == "REJECT"
		if refuses && text != " "+c.Rule.Text {
			continue
		}
		if before, _, found := strings.Cut(text, " -j REJECT"); found {
			text = before + " -j DROP"
		}
		if before, found := strings.CutSuffix(text, " -j ACCEPT"); found {
			text = before + " -j RETURN"
		}
		chain := c.Chain
		if chain == r.Target {
			chain = ir.OwnChain
		}
		if line := ":" + chain + " - [0:0]\n"; !slices.Contains(chains, line) {
			chains = append(chains, line)
		}
		rules = append(rules, string(c.Op)+" "+chain+text+"\n")
	}
	file, diags := iptables.ParseRules(strings.NewReader("*security\n"+strings.Join(chains, "")+strings.Join(rules, "")+"COMMIT\n"), "fallback")
	if diags.HasErrors() {
		return nil, diags
	}
	return file.Blocks[0], nil
}

// dockers are the chains of an engine.
const dockers = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`

func load(t fataler, rules map[ir.Family]*iptables.Ruleset, text string) {
	t.Helper()
	for _, f := range families {
		if rules[f] == nil {
			rules[f] = iptables.NewRuleset(iptables.Family(f))
		}
		loadInto(t, rules[f], text)
	}
}

func loadFamily(t fataler, h *plan.Host, f ir.Family, text string) {
	t.Helper()
	loadInto(t, h.Rules[f], text)
}

func loadInto(t fataler, rules *iptables.Ruleset, text string) {
	t.Helper()
	file, diags := iptables.ParseRules(strings.NewReader(text), "host")
	if diags = append(diags, rules.Load(file)...); diags.HasErrors() {
		t.Fatal(diags)
	}
}

func loadSets(t fataler, sets *iptables.Sets, text string) {
	t.Helper()
	file, diags := iptables.ParseSets(strings.NewReader(text), "host")
	if diags = append(diags, sets.Load(file)...); diags.HasErrors() {
		t.Fatal(diags)
	}
}

// newHost is a host with some rules, in both families, and sets.
func newHost(t fataler, rules, sets string) *plan.Host {
	t.Helper()
	h := &plan.Host{
		Rules: map[ir.Family]*iptables.Ruleset{}, Other: map[ir.Family]*iptables.Ruleset{},
		Sets: &iptables.Sets{}, NoSecurity: map[ir.Family]bool{},
	}
	loadSets(t, h.Sets, sets)
	load(t, h.Rules, rules)
	return h
}

// machine is a host with what dockerfw recorded there.
type machine struct {
	*plan.Host
	made, unmanaged []string
	// created are the unmanaged sets of all versions so far. They stay.
	created []string
	// every: a journey goes on from every n-th moment only, beginning at shift.
	every, shift int
	// printed are the tables of the versions of a journey, which plans are made from again and again; nil lets
	// each plan compute them.
	printed map[*plan.Version]plan.Printed
}

func (m *machine) copy() *machine {
	out := *m
	out.Host = m.Clone()
	return &out
}

// make plans a version. A set that exists is replaced by force. The plan is nil if the version
// cannot be loaded because an unmanaged set has another type.
func (m *machine) make(t fataler, want *plan.Version) *plan.Plan {
	t.Helper()
	in := plan.Input{Host: m.Host, Want: want, Printed: m.printed[want], Records: plan.Records{Made: m.made, Unmanaged: m.unmanaged}}
	if m.printed != nil && in.Printed == nil {
		var err error
		if in.Printed, err = plan.Simulate(want, m.NoSecurity); err != nil {
			t.Fatal(err)
		}
		m.printed[want] = in.Printed
	}
	for _, in.Force = range []bool{false, true} {
		p, err := plan.Make(in)
		switch {
		case err != nil:
			t.Fatal(err)
		case len(p.Problems) == 0:
			return p
		case in.Force && slices.ContainsFunc(p.Problems, func(p plan.Problem) bool { return strings.HasPrefix(p.Text, "unmanaged set") }):
			return nil
		case in.Force:
			t.Fatal(p.Problems)
		}
	}
	return nil
}

// begin records what has to be recorded before the first step.
func (m *machine) begin(p *plan.Plan) {
	m.made, m.unmanaged = p.Made, p.Unmanaged
	m.created = slices.Concat(m.created, p.Unmanaged)
}

// end records what has to be recorded after the last step.
func (m *machine) end(p *plan.Plan, want *plan.Version) {
	m.made, m.unmanaged = append(want.Sets.Names(), p.Left...), want.Unmanaged.Names()
}

// load runs a plan to its end.
func (m *machine) load(t fataler, want *plan.Version) {
	t.Helper()
	p := m.make(t, want)
	m.begin(p)
	for _, s := range slices.Concat(p.Load, p.Settle) {
		if err := m.Run(s); err != nil {
			t.Fatal(fmt.Sprintf("%s: %v\n%s", s.Name, err, s.Input))
		}
	}
	m.end(p, want)
}

// atoms are the parts of steps that happen completely or not at all: each line of ipset restore,
// each table of iptables-restore.
func atoms(steps []plan.Step) []plan.Step {
	var out []plan.Step
	for _, s := range steps {
		end := "\n"
		if s.Tool == plan.IPTables {
			end = "COMMIT\n"
		}
		for part := range strings.SplitAfterSeq(string(s.Input), end) {
			if part != "" {
				one := s
				one.Input = []byte(part)
				out = append(out, one)
			}
		}
	}
	return out
}
