package lint

import (
	"runtime"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/sync/errgroup"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser"
)

// evidence is what evaluating the policies shows about each of their rules: what it does
// on any host, in either family, for forwarded packets or for those that docker-proxy
// answers. What has an effect anywhere is not reported as having none.
type evidence struct {
	policies []*parser.Policy
	lists    *semantics.Lists
	// rules in the order of the text; byKey finds them.
	rules []*ruleEvidence
	byKey map[ruleKey]*ruleEvidence
	// failures are policies that could not be evaluated.
	failures []failure
}

type failure struct {
	policy *parser.Policy
	err    error
}

// ruleKey identifies a block: for_each makes several at one place.
type ruleKey struct {
	place hcl.Range
	name  string
}

func keyOf(r *parser.Rule) ruleKey { return ruleKey{r.DeclRange, r.Name.Value} }

// ruleEvidence is what a deny or accept block does.
type ruleEvidence struct {
	rule *parser.Rule
	// possible: its conditions do not exclude each other. reached: some packets get as far
	// as this rule and match. changes: without it some packets would get another verdict.
	// admits: without it some packets would be refused.
	possible, reached, changes, admits bool
	// coveredBy are the rules that match its packets first, as far as it is not reached.
	coveredBy []*parser.Rule
	// denials are the denies that match packets of an accept first.
	denials []*denial
	// values are the ports and addresses of attributes that list several; byValue finds them.
	values  []*valueEvidence
	byValue map[valueKey]*valueEvidence
	// protects: on some host INPUT protection covers a port because of this rule alone, and no
	// input block would refuse clients there without it.
	protects bool
	// notExternal: it lists an interface that is not external on some host.
	notExternal bool
	// toHost: it is a rule of the input block.
	toHost bool
	// unfilled: an attribute has nothing but empty sets, on each host; that is the warning empty-set.
	unfilled bool
	// defaultReturns: default refuses nobody. defaultAllows: default.allow is set.
	defaultReturns, defaultAllows bool
}

// valueEvidence is what one of several values of an attribute does.
type valueEvidence struct {
	// text describes it: published port 443.
	text    string
	place   hcl.Range
	reached bool
}

// valueKey identifies a value: for_each and splats give several at one place.
type valueKey struct {
	text  string
	place hcl.Range
}

// value returns the evidence about a value of the block.
func (r *ruleEvidence) value(text string, place hcl.Range) *valueEvidence {
	key := valueKey{text, place}
	if v := r.byValue[key]; v != nil {
		return v
	}
	if r.byValue == nil {
		r.byValue = map[valueKey]*valueEvidence{}
	}
	v := &valueEvidence{text: text, place: place}
	r.values, r.byValue[key] = append(r.values, v), v
	return v
}

// gather evaluates the policies of all hosts.
func gather(policies []*parser.Policy, lists *semantics.Lists) *evidence {
	e := &evidence{policies: policies, lists: lists, byKey: map[ruleKey]*ruleEvidence{}}
	for _, p := range policies {
		byName := e.addRules(p)
		if err := e.evaluate(p, byName); err != nil {
			e.failures = append(e.failures, failure{p, err})
		}
	}
	return e
}

// rulesByName are the rules of a policy by the text that the semantics give their rules.
type rulesByName map[string]*ruleEvidence

// addRules adds the rules of a policy, with what the policy itself shows about them.
func (e *evidence) addRules(p *parser.Policy) rulesByName {
	byName := rulesByName{}
	protected, empty := protectedPorts(p), emptySets(p)
	for _, r := range p.AllRules() {
		one := e.byKey[keyOf(r)]
		if one == nil {
			one = &ruleEvidence{rule: r, unfilled: true}
			e.byKey[keyOf(r)] = one
			e.rules = append(e.rules, one)
		}
		byName[string(r.Kind)+" "+r.Name.Value] = one
		one.protects = one.protects || p.Host.InputGuard && p.Input == nil && protected.onlyBy(r)
		one.unfilled = one.unfilled && (onlySets(r.Source, empty) || onlySets(r.Destination, empty))
		one.notExternal = one.notExternal || len(externalInterfaces(p, r)) < len(r.Interfaces)
		def := p.Default
		if p.Input != nil && slices.Contains(p.Input.Rules, r) {
			one.toHost, def = true, p.Input.Default
		}
		one.defaultReturns = one.defaultReturns || def.Action == parser.ActionReturn
		one.defaultAllows = one.defaultAllows || def.Allow != nil
	}
	return byName
}

// evaluate runs the policy of a host in each of its families, for what is forwarded and
// for what docker-proxy answers. It looks for flaws in several programs at a time, on half of
// the processors: check proves the policy on the others, and each program takes memory.
func (e *evidence) evaluate(p *parser.Policy, byName rulesByName) error {
	var programs []func() *packet.Program
	for _, family := range families(p) {
		meaning := semantics.Of(p, family, e.lists)
		programs = append(programs, meaning.Forwarded, meaning.Input)
	}
	for batch := range slices.Chunk(programs, max(1, runtime.GOMAXPROCS(0)/2)) {
		var runs []*run
		for _, next := range batch {
			if program := next(); len(program.Chains[0].Rules) > 0 {
				runs = append(runs, &run{program: program, probes: valueProbes(program, byName)})
			}
		}
		var group errgroup.Group
		for _, r := range runs {
			group.Go(func() error {
				r.err = r.findFlaws()
				return nil
			})
		}
		_ = group.Wait() // the errors are in runs
		for _, r := range runs {
			if r.err != nil {
				return r.err
			}
			if err := r.add(byName); err != nil {
				return err
			}
		}
	}
	return nil
}

// run is the evaluation of one program.
type run struct {
	program *packet.Program
	probes  probes
	// rules and values are the program and the probes once they are evaluated.
	rules, values *packet.Evaluation
	flaws         map[packet.Place]packet.Lint
	err           error
}

// findFlaws evaluates the program.
func (r *run) findFlaws() error {
	space, err := packet.New(r.program, r.probes.program)
	if err != nil {
		return err
	}
	r.rules, r.values = space.Programs()[0], space.Programs()[1]
	lints, err := r.rules.Lints()
	if err != nil {
		return err
	}
	r.flaws = map[packet.Place]packet.Lint{}
	for _, l := range lints {
		r.flaws[l.At] = l
	}
	return nil
}

func families(p *parser.Policy) []ir.Family {
	var out []ir.Family
	if p.Host.IPv4 {
		out = append(out, ir.IPv4)
	}
	if p.Host.IPv6 {
		out = append(out, ir.IPv6)
	}
	return out
}

// add adds what the rules of the program do.
func (r *run) add(byName rulesByName) (err error) {
	defer packet.Catch(&err)
	program, probes := r.program, r.probes
	for i, rule := range program.Chains[0].Rules {
		one := byName[rule.Text]
		if one == nil {
			continue // established and default
		}
		at := packet.Place{Rule: i}
		flaw, flawed := r.flaws[at]
		one.addFlaw(flaw, flawed)
		// Of packets for docker-proxy it is not known to which container they go: a rule that
		// is covered there may not be where the program of FORWARD is the one to fix.
		if flawed && flaw.Flaw == packet.Covered && (!program.ToHost || one.toHost) {
			for _, by := range flaw.CoveredBy {
				one.addCover(byName[program.Rule(by).Text])
			}
		}
		if flawed && flaw.Flaw < packet.Redundant || len(probes.of[one]) == 0 {
			continue
		}
		handled, err := r.rules.Handled(at)
		if err != nil {
			return err
		}
		for _, p := range probes.of[one] {
			p.value.reached = p.value.reached || !r.values.Match(p.at).And(handled).IsEmpty()
		}
	}
	return addDenials(r.rules, program.Family, byName)
}

// addFlaw adds what the algebra finds of one of the block's rules.
func (r *ruleEvidence) addFlaw(l packet.Lint, flawed bool) {
	r.possible = r.possible || !flawed || l.Flaw > packet.Unreached
	r.reached = r.reached || !flawed || l.Flaw >= packet.Redundant
	r.changes = r.changes || !flawed || l.Flaw == packet.Permitted
	r.admits = r.admits || !flawed
}

func (r *ruleEvidence) addCover(by *ruleEvidence) {
	if by != nil && !slices.ContainsFunc(r.coveredBy, func(o *parser.Rule) bool { return keyOf(o) == keyOf(by.rule) }) {
		r.coveredBy = append(r.coveredBy, by.rule)
	}
}

// probes are rules that match what each value of an attribute matches, so that its share
// in the packets of its block can be told.
type probes struct {
	program *packet.Program
	of      map[*ruleEvidence][]probe
}

type probe struct {
	value *valueEvidence
	at    packet.Place
}

// valueProbes makes a probe for each value of the attributes that list several.
func valueProbes(program *packet.Program, byName rulesByName) probes {
	chain := &packet.Chain{Name: "values"}
	out := probes{of: map[*ruleEvidence][]probe{}}
	out.program = &packet.Program{Family: program.Family, Chains: []*packet.Chain{chain}, Default: packet.Verdict{Kind: packet.Docker}, ToHost: program.ToHost}
	add := func(one *ruleEvidence, text string, place hcl.Range, c packet.Cond) {
		out.of[one] = append(out.of[one], probe{one.value(text, place), packet.Place{Rule: len(chain.Rules)}})
		chain.Rules = append(chain.Rules, &packet.Rule{Matches: []packet.Cond{c}, Verdict: packet.Verdict{Kind: packet.Continue}})
	}
	addPorts := func(one *ruleEvidence, noun string, end packet.End, ports []parser.At[parser.Ports]) {
		for _, p := range ports {
			if len(ports) > 1 {
				ranges := []ir.PortRange{{First: p.Value.First, Last: p.Value.Last}}
				add(one, noun+" "+portText(p.Value), p.Range, packet.Port{End: end, Ranges: ranges})
			}
		}
	}
	for _, one := range byName {
		r := one.rule
		if program.ToHost {
			addPorts(one, "published port", packet.Destination, r.PublishedPorts)
			addPorts(one, "port", packet.Destination, r.HostPorts)
		} else {
			addPorts(one, "published port", packet.OriginalDestination, r.PublishedPorts)
			addPorts(one, "container port", packet.Destination, r.ContainerPorts)
		}
		if r.Source == nil || len(r.Source.Items) < 2 {
			continue
		}
		for _, item := range r.Source.Items {
			if item.Set == "" {
				add(one, "source "+rangeText(item.Literal), item.Range, packet.Addr{End: packet.Source, In: packet.NewAddrSet("", item.Literal.Prefixes())})
			}
		}
	}
	return out
}
