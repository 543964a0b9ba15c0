package parser

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Evaluate gives all expressions their values and returns the typed policy of the
// host with the given label, "" for the unlabelled one. Rules that expired before
// now are errors; nothing else looks at it. With errors the policy holds what could
// be read. Several hosts may be evaluated at a time.
func (s *Source) Evaluate(host string, now time.Time) (*Policy, hcl.Diagnostics) {
	e := newEvaluator(s)
	e.now = now
	return e.policy(host)
}

// policy evaluates the policy of one host.
func (e *evaluator) policy(host string) (*Policy, hcl.Diagnostics) {
	s := e.source
	decl := s.hosts[host]
	e.host = host
	if host != "" {
		e.define("host", map[string]cty.Value{"name": cty.StringVal(host)})
	}
	e.variables(e.hostVariables(decl))
	e.locals()

	p := &Policy{Files: s.Names, Host: e.hostBlock(decl)}
	for _, b := range s.blocks["ipset"] {
		p.Sets = append(p.Sets, e.ipset(b))
	}
	e.checkMembers(p.Sets)
	p.Established = &Established{DeclRange: p.Host.DeclRange}
	for _, b := range s.blocks["established"] {
		p.Established = e.established(b)
	}
	for _, b := range s.ruleBlocks("") {
		p.Rules = append(p.Rules, e.rules(b, false)...)
	}
	p.Default = &Default{DeclRange: p.Host.DeclRange, Action: ActionDrop}
	for _, b := range s.blocks["default"] {
		p.Default = e.defaultBlock(b)
	}
	for _, b := range s.blocks["egress"] {
		p.Egress = e.egress(b, p.Host)
	}
	e.checkRuleNames(p)
	p.Tests = e.tests(p)
	e.warnings(p)
	return p, e.diags
}

// ruleBlocks are the deny and accept blocks at the top ("") or in egress
// ("egress/"), in the order written.
func (s *Source) ruleBlocks(place string) []*hcl.Block {
	all := slices.Concat(s.blocks[place+"deny"], s.blocks[place+"accept"])
	slices.SortStableFunc(all, func(a, b *hcl.Block) int { return compareRanges(a.DefRange, b.DefRange) })
	return all
}

// checkRuleNames makes sure that names are unique once for_each has made them.
func (e *evaluator) checkRuleNames(p *Policy) {
	rules := p.Rules
	if p.Egress != nil {
		rules = slices.Concat(rules, p.Egress.Rules)
	}
	first := map[string]*Rule{}
	for _, r := range rules {
		if other, dup := first[r.Name.Value]; dup {
			e.diags = append(e.diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, r.Name.Range, fmt.Sprintf("second rule %q", r.Name.Value), "Each rule has a name of its own, those that for_each makes too. Rename one of the two."),
				"the first one", other.Name.Range))
			continue
		}
		first[r.Name.Value] = r
	}
}

// egressSchema is what may stand in an egress block.
var egressSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "default"},
	{Type: "deny", LabelNames: []string{"name"}},
	{Type: "accept", LabelNames: []string{"name"}},
}}

// egress decodes the egress block, whose own blocks Load found already.
func (e *evaluator) egress(decl *hcl.Block, h *Host) *Egress {
	out := &Egress{DeclRange: decl.DefRange, Default: &Default{DeclRange: decl.DefRange, Action: ActionReturn}}
	if h.Chain.Value == ChainDocker {
		e.error(diag.CodeConflict, decl.DefRange, "egress with chain = \"DOCKER\"", "Packets that leave containers do not come through DOCKER, so that these rules would do nothing. Use chain = \"DOCKER-USER\".")
	}
	for _, b := range e.source.ruleBlocks("egress/") {
		out.Rules = append(out.Rules, e.rules(b, true)...)
	}
	for _, b := range e.source.blocks["egress/default"] {
		out.Default = e.defaultBlock(b)
	}
	return out
}

var establishedSchema = &hcl.BodySchema{Attributes: attributes("sessions", "drop_invalid")}

func (e *evaluator) established(decl *hcl.Block) *Established {
	b := e.open(decl, establishedSchema, e.ctx)
	return &Established{
		DeclRange:   decl.DefRange,
		Recheck:     b.choice("sessions", "keep", "keep", "recheck").Value == "recheck",
		DropInvalid: b.flag("drop_invalid", false),
	}
}

var defaultSchema = &hcl.BodySchema{
	Attributes: attributes("allow", "action"),
	Blocks:     []hcl.BlockHeaderSchema{{Type: "log"}},
}

func (e *evaluator) defaultBlock(decl *hcl.Block) *Default {
	b := e.open(decl, defaultSchema, e.ctx)
	b.refuseNull = "null could mean everyone or nobody. Leave %s out for what it is by default."
	d := &Default{DeclRange: decl.DefRange, Written: true, Allow: b.operands("allow"), Log: b.log("default")}
	action := b.choice("action", string(ActionDrop), string(ActionDrop), string(ActionReject), string(ActionReturn))
	d.Action = Action(action.Value)
	if d.Action == ActionReturn && d.Allow != nil {
		b.error(diag.CodeConflict, d.Allow.Range, "allow with action = \"return\"", "With \"return\" everyone is let through to Docker's rules, and allow means nothing. Leave one of the two out.")
	}
	return d
}

// warnings looks at the policy as a whole for what is allowed but seldom meant.
func (e *evaluator) warnings(p *Policy) {
	if e.diags.HasErrors() {
		return
	}
	if p.Default.Action == ActionReturn {
		e.warn(diag.CodeOpenDefault, p.Default.DeclRange, "open by default", "Everyone who is not denied reaches what Docker publishes. Use action = \"drop\" with allow to name who may.")
	}
	for _, r := range p.Rules {
		if r.Kind != KindAccept {
			continue
		}
		if p.Host.Verdict == VerdictAccept && len(r.PublishedPorts) == 0 && len(r.PublishedAddress) == 0 && r.Destination == nil && !icmpOnly(r) {
			e.warn(diag.CodeAcceptAll, r.Name.Range, fmt.Sprintf("accept %q goes past Docker's own rules", r.Name.Value),
				"Its ACCEPT skips them, so that what nobody published, such as other ports of a container, is open to whoever has a route to the container. Add published_ports or destination, or set verdict = \"return\" on the host.")
		}
		for _, i := range r.Interfaces {
			if coveredBy(p.Host.ExternalInterfaces, i.Value) == nil {
				e.warn(diag.CodeNotExternal, i.Range, fmt.Sprintf("interface %q is not external", i.Value),
					"default drops nobody there, so that the accept opens what is open already. Add it to the host's external_interfaces.")
			}
		}
	}
}

// icmpOnly reports whether a rule is about ICMP, which nobody publishes.
func icmpOnly(r *Rule) bool {
	for _, p := range r.Protocols {
		if p.Value.Number != ICMP && p.Value.Number != ICMPv6 {
			return false
		}
	}
	return len(r.Protocols) > 0 || len(r.ICMPTypes) > 0
}
