package imported

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/diff"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/handmade"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/words"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Options of an import.
type Options struct {
	// Name is what the input is called, and Policy the name of the file that is written.
	Name, Policy string
	// External are the external interfaces; none are those of the rules.
	External []string
	// Families are those of the policy; none are those of the input.
	Families []ir.Family
	// Chain is the chain with the rules; "" is DOCKER-USER, or DOCKER if only that has some.
	Chain string
	// Files writes long sets into files beside the policy.
	Files bool
}

// Result is a policy, and how it differs from the rules.
type Result struct {
	Policy []byte
	// Lists are files beside the policy, by their paths with slashes.
	Lists map[string][]byte
	// Chain is the chain that was read, Rules and Sets are how many of them.
	Chain       string
	Rules, Sets int
	// Compared are the families of which all packets were compared, and Report is the difference;
	// its old side is the rules, its new side the policy.
	Compared []ir.Family
	Report   *diff.Report
	// EqualOutside: there is a difference, but not for packets that arrive on External or leave
	// through them.
	EqualOutside bool
	External     []string
	// Left are rules that the policy has only as comments.
	Left int
	// EgressCut: the rules refuse connections that containers open. Protects: the policy refuses
	// clients in INPUT as well, where docker-proxy answers.
	EgressCut, Protects bool
	// LeftOver are sets of the host that the policy has under other names, and does not use.
	LeftOver []string
	Notes    []string
}

// Equal reports whether the policy treats all packets like the rules.
func (r *Result) Equal() bool { return !r.Report.Different() && !r.Report.More }

// ErrNoInterface is the error about rules without an interface.
var ErrNoInterface = errors.New("no rule has an external interface: say which it is with --external, such as --external eth0")

// Import returns the policy that hand-made rules amount to.
func Import(source *handmade.Source, o Options) (*Result, error) {
	host, chain, notes, err := hostOf(source, o)
	if err != nil {
		return nil, err
	}
	out := &Result{Chain: chain, Notes: append(slices.Clone(source.Notes), notes...)}
	flats := map[ir.Family]*flattener{}
	var have []ir.Family
	for _, f := range host.Families() {
		table, program := programOf(host, f)
		if flats[f], err = flatten(table, program); err != nil {
			return nil, err
		}
		have = append(have, f)
		for _, c := range program.Chains {
			out.Rules += len(c.Rules)
		}
	}
	families := o.Families
	if len(families) == 0 {
		families = have
	}
	external := o.External
	if len(external) == 0 {
		external = source.External
	}
	if len(external) == 0 {
		external = interfacesOf(flats)
	}
	if len(external) == 0 {
		return nil, ErrNoInterface
	}
	// Whether packets in state INVALID are dropped as a whole does not follow from single rules:
	// the policy that differs less is the right one.
	for _, dropInvalid := range []bool{false, true} {
		p := newPolicy(flats, external, families, host)
		p.in.dropInvalid = p.in.dropInvalid || dropInvalid
		text, lists, err := p.text(o.Name, o.Files)
		if err != nil {
			return nil, err
		}
		report, protects, err := compare(host, o.Policy, text, lists, families)
		if err != nil {
			return nil, err
		}
		if out.Report != nil && !better(report, out.Report) {
			break
		}
		out.Policy, out.Lists, out.Report = text, lists, report
		out.Sets, out.EgressCut, out.External = len(p.sets.used), p.egress, external
		out.Left, out.Protects = p.comments(), protects
		out.LeftOver = nil
		for _, u := range p.sets.used {
			if p.sets.leftOver(u) {
				out.LeftOver = append(out.LeftOver, u.onHost)
			}
		}
		if !report.Different() || p.in.dropInvalid {
			break
		}
	}
	if !out.Equal() {
		outside, _, err := compare(outsideOnly(host, external), o.Policy, out.Policy, out.Lists, families)
		if err != nil {
			return nil, err
		}
		out.EqualOutside = !outside.Different() && !outside.More
	}
	for _, f := range have {
		if slices.Contains(families, f) {
			out.Compared = append(out.Compared, f)
		}
	}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		switch has, wants := slices.Contains(have, f), slices.Contains(families, f); {
		case !has && !wants:
			out.Notes = append(out.Notes, fmt.Sprintf("the input has no %s rules, and the policy none either: over %[1]s everyone reaches what Docker publishes. To close it too, add --families ipv4,ipv6, or import the rules of both families", words.Family(f)))
		case !has:
			out.Notes = append(out.Notes, fmt.Sprintf("the input has no %s rules: the policy's rules hold for %[1]s as well, and there is nothing to compare them with", words.Family(f)))
		case !wants:
			out.Notes = append(out.Notes, fmt.Sprintf("the %s rules of the input were left out", words.Family(f)))
		}
	}
	return out, nil
}

// better reports whether a policy that drops packets in state INVALID differs less than the same one
// without that, or as often and lets fewer of them in.
func better(with, without *diff.Report) bool {
	if a, b := len(with.Changes), len(without.Changes); a != b {
		return a < b
	}
	return without.Effect == diff.Widened || without.Effect == diff.Both
}

func newPolicy(flats map[ir.Family]*flattener, external []string, families []ir.Family, host *snapshot.Host) *policy {
	p := &policy{external: external, families: families, sets: &setNamer{host: host.Sets, names: map[string]string{}, pairs: map[string]string{}}}
	in, out := map[ir.Family]direction{}, map[ir.Family]direction{}
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if flats[f] == nil {
			continue
		}
		enter, leave := &builder{family: f, external: external}, &builder{family: f, external: external, egress: true}
		in[f], out[f] = enter.build(flats[f].out), leave.build(flats[f].out)
		p.left = append(p.left, flats[f].left...)
		for _, logged := range flats[f].logs {
			p.left = append(p.left, left{logged.origin(), "no rule after it refuses or accepts the same packets, so that there is no block to log in"})
		}
	}
	if len(flats) == 1 {
		for f := range flats {
			p.in, p.out = in[f], out[f]
		}
	} else {
		p.in, p.out = p.merge(in), p.merge(out)
	}
	p.in.blocks, p.out.blocks = compact(p.in.blocks), compact(p.out.blocks)
	p.egress = p.out.refuses()
	// The end of the chain returns, too.
	p.returns = p.in.returns+p.out.returns >= p.in.accepts+p.out.accepts
	return p
}

// comments are how many rules the policy has only as comments.
func (p *policy) comments() int {
	n := len(p.left)
	for _, b := range slices.Concat(p.in.blocks, p.out.blocks) {
		if b.why != "" {
			n++
		}
	}
	return n
}

// hostOf returns a host that has nothing but the hand-made rules, in DOCKER-USER.
func hostOf(source *handmade.Source, o Options) (host *snapshot.Host, chain string, notes []string, err error) {
	const docker, user = "DOCKER", "DOCKER-USER"
	has := func(name string) bool {
		for _, rules := range source.Rules {
			if c := rules.Table("filter").Chain(name); c != nil && len(ownRules(c)) > 0 {
				return true
			}
		}
		return false
	}
	chain = o.Chain
	switch {
	case chain != "":
		if !has(chain) {
			return nil, "", nil, fmt.Errorf("the input has no rules in chain %s", chain)
		}
	case has(user):
		chain = user
		if has(docker) {
			notes = append(notes, "chain DOCKER has rules of its own, too: --chain DOCKER imports them")
		}
	case has(docker):
		chain = docker
		notes = append(notes, "the rules are in chain DOCKER, and the policy is for DOCKER-USER, which engines since 17.06 leave alone")
	default:
		return nil, "", nil, errors.New("the input has no rules in chains DOCKER-USER and DOCKER: for another chain, add --chain NAME")
	}
	host = &snapshot.Host{
		Name: o.Name, Kind: snapshot.Folder, Target: user, Install: ir.InstallReplace,
		Rules: map[ir.Family]*iptables.Ruleset{}, Sets: source.Sets, Own: map[ir.Family][]string{}, Unmanaged: expiring(source.Sets),
	}
	for f, rules := range source.Rules {
		t := rules.Table("filter")
		if t.Chain(chain) == nil {
			continue
		}
		own := &iptables.Table{Name: "filter"}
		for _, c := range t.Reachable(chain).Chains {
			one := *c
			if one.Rules = ownRules(c); c.Name == chain {
				one.Name = user
				if n := len(c.Rules) - len(one.Rules); n > 0 {
					notes = append(notes, fmt.Sprintf("%s of chain %s are the engine's own and were left out", words.Count(n, words.Family(f)+" rule"), chain))
				}
			}
			own.Chains = append(own.Chains, &one)
		}
		host.Rules[f] = iptables.NewRuleset(iptables.Family(f))
		host.Rules[f].Tables = []*iptables.Table{own}
	}
	return host, chain, notes, nil
}

// outsideOnly is the host with the rules only for packets that arrive on external interfaces or leave
// through them; all others return.
func outsideOnly(host *snapshot.Host, external []string) *snapshot.Host {
	const rules = "rules"
	out := &snapshot.Host{
		Name: host.Name, Kind: host.Kind, Target: host.Target, Install: host.Install,
		Rules: map[ir.Family]*iptables.Ruleset{}, Sets: host.Sets, Own: host.Own, Unmanaged: host.Unmanaged,
	}
	for f := range host.Rules {
		t := &iptables.Table{Name: "filter"}
		entry := &iptables.Chain{Name: host.Target}
		for _, option := range []string{"-i", "-o"} {
			for _, name := range external {
				entry.Rules = append(entry.Rules, &iptables.Rule{Chain: entry.Name, Base: []iptables.Option{{Name: option, Values: []string{name}}}, Jump: rules, Goto: true})
			}
		}
		t.Chains = append(t.Chains, entry)
		for _, c := range host.Filter(f).Chains {
			one := *c
			if c.Name == host.Target {
				one.Name = rules
			}
			t.Chains = append(t.Chains, &one)
		}
		out.Rules[f] = iptables.NewRuleset(iptables.Family(f))
		out.Rules[f].Tables = []*iptables.Table{t}
	}
	return out
}

// ownRules are the rules of a chain without those that an engine writes into DOCKER: from every
// interface but the bridge, to the bridge.
func ownRules(c *iptables.Chain) []*iptables.Rule {
	if c.Name != "DOCKER" {
		return c.Rules
	}
	return slices.DeleteFunc(slices.Clone(c.Rules), func(r *iptables.Rule) bool {
		in, out := r.Option("-i"), r.Option("-o")
		return in != nil && out != nil && in.Not && !out.Not && in.Value() == out.Value() && (r.Jump == "ACCEPT" || r.Jump == "DROP")
	})
}

// expiring are the sets whose entries other programs add while the host runs: those with a timeout.
func expiring(sets *iptables.Sets) map[string]bool {
	out := map[string]bool{}
	for _, name := range sets.Names() {
		if _, ok := sets.Set(name).Option("timeout"); ok {
			out[name] = true
		}
	}
	return out
}

// interfacesOf are the interfaces of the rules that are not Docker's bridges.
func interfacesOf(flats map[ir.Family]*flattener) []string {
	var out []string
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		if flats[f] == nil {
			continue
		}
		for _, r := range flats[f].out {
			l := read(r.conds, nil)
			for _, name := range slices.Concat(l.in, l.out) {
				docker := strings.HasPrefix(name, "docker") || strings.HasPrefix(name, "br-") || name == "lo" || name == "+"
				covered := slices.ContainsFunc(out, func(o string) bool { return o == name || parser.Covers(o, name) || parser.Covers(name, o) })
				if !docker && !covered && parser.CheckInterface(name) == "" {
					out = append(out, name)
				}
			}
		}
	}
	return out
}
