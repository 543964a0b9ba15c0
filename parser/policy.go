package parser

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// Evaluate evaluates all expressions and returns the policy of the host with a label, ""
// for the unlabeled one. Rules that expired before now are warnings; nothing else depends
// on now. With errors the policy contains what is valid. Several hosts may be evaluated
// concurrently.
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
	hostBlock := e.open(decl, hostSchema, e.ctx)
	e.variables(hostBlock.hostVariables())
	e.locals()

	p := &Policy{Files: s.Names, Host: hostBlock.hostBlock()}
	e.target = p.Host.Target
	for _, b := range s.blocks["ipset"] {
		p.Sets = append(p.Sets, e.ipset(b))
	}
	e.checkMembers(p.Sets)
	e.checkSetNames(p.Sets)
	p.Established = &Established{DeclRange: p.Host.DeclRange}
	for _, b := range s.blocks["established"] {
		p.Established = e.established(b)
	}
	for _, b := range rulesIn(s.blocks) {
		p.Rules = append(p.Rules, e.rules(p, b, "")...)
	}
	p.Default = &Default{DeclRange: p.Host.DeclRange, Action: ActionDrop}
	for _, b := range s.blocks["default"] {
		p.Default = e.defaultBlock(b, "Docker's rules")
	}
	for _, b := range s.blocks["egress"] {
		p.Egress = e.egress(p, b)
	}
	for _, b := range s.blocks["input"] {
		p.Input = e.input(p, b)
	}
	e.checkRuleNames(p)
	p.Tests = e.tests(p)
	e.warnings(p)
	return p, e.diags
}

// checkRuleNames reports rules with the same name, including those of for_each and disabled
// ones.
func (e *evaluator) checkRuleNames(p *Policy) {
	first := map[string]*Rule{}
	for _, r := range slices.Concat(p.AllRules(), p.Disabled) {
		if other, dup := first[r.Name.Value]; dup {
			e.diags = append(e.diags, diag.WithRelated(
				diag.New(diag.CodeDuplicate, r.Name.Range, fmt.Sprintf("second rule %q", r.Name.Value), "Each rule needs a name of its own, including those of for_each. Rename one of the two."),
				"the first one", other.Name.Range))
			continue
		}
		first[r.Name.Value] = r
	}
}

// egress decodes the egress block, whose blocks Load collected.
func (e *evaluator) egress(p *Policy, decl *hcl.Block) *Egress {
	out := &Egress{DeclRange: decl.DefRange, Default: &Default{DeclRange: decl.DefRange, Action: ActionReturn}}
	if p.Host.Chain.Value == ChainDocker {
		e.error(diag.CodeConflict, decl.DefRange, "egress with chain = \"DOCKER\"", "Packets that leave containers do not pass the chain DOCKER, so these rules would have no effect. Use chain = \"DOCKER-USER\".")
	}
	for _, b := range rulesIn(e.source.egress) {
		out.Rules = append(out.Rules, e.rules(p, b, decl.Type)...)
	}
	for _, b := range e.source.egress["default"] {
		out.Default = e.defaultBlock(b, "Docker's rules")
	}
	return out
}

// input decodes the input block, whose blocks Load collected.
func (e *evaluator) input(p *Policy, decl *hcl.Block) *HostInput {
	out := &HostInput{DeclRange: decl.DefRange, Default: &Default{DeclRange: decl.DefRange, Action: ActionDrop}}
	if !p.Host.InputGuard {
		e.error(diag.CodeConflict, decl.DefRange, "input with input_guard = false", "The input block also closes the ports that docker-proxy answers on the host. Without INPUT protection it would refuse clients that rules with published_ports accept. Remove input_guard.")
	}
	for _, b := range rulesIn(e.source.input) {
		out.Rules = append(out.Rules, e.rules(p, b, decl.Type)...)
	}
	for _, b := range e.source.input["default"] {
		out.Default = e.defaultBlock(b, "the host's own rules")
	}
	return out
}

func (e *evaluator) established(decl *hcl.Block) *Established {
	b := e.open(decl, establishedSchema, e.ctx)
	return &Established{
		DeclRange:   decl.DefRange,
		Recheck:     b.choice("sessions").Value == "recheck",
		DropInvalid: b.flag("drop_invalid"),
	}
}

// defaultBlock decodes a default block; rest is what decides about the traffic it leaves alone.
func (e *evaluator) defaultBlock(decl *hcl.Block, rest string) *Default {
	b := e.open(decl, defaultSchema, e.ctx)
	d := &Default{DeclRange: decl.DefRange, Written: true, Allow: b.operands("allow"), Log: b.log("default")}
	action := b.choice("action")
	d.Action = Action(action.Value)
	if d.Action == ActionReturn && d.Allow != nil {
		b.error(diag.CodeConflict, d.Allow.Range, "allow with action = \"return\"", "With \"return\" all traffic is left to %s, so allow has no effect. Leave one of the two out.", rest)
	}
	return d
}

// warnings reports what is allowed but rarely intended.
func (e *evaluator) warnings(p *Policy) {
	if e.diags.HasErrors() {
		return
	}
	if p.Default.Action == ActionReturn {
		e.warn(diag.CodeOpenDefault, p.Default.DeclRange, "open by default", "Every client that is not denied reaches the published ports. Use action = \"drop\" with allow for the clients to admit.")
	}
	if p.Input != nil {
		for _, r := range p.Input.Rules {
			e.warnNotExternal(p, r)
		}
	}
	for _, r := range p.Rules {
		if r.Kind != KindAccept {
			continue
		}
		if p.Host.Target == TargetNFTables {
			e.warnNotOpened(r)
		} else if p.Host.Verdict == VerdictAccept && len(r.PublishedPorts) == 0 && len(r.PublishedAddress) == 0 && r.Destination == nil && !icmpOnly(r) {
			e.warn(diag.CodeAcceptAll, r.Name.Range, fmt.Sprintf("accept %q skips Docker's own rules", r.Name.Value),
				"Its ACCEPT also opens ports that are not published to every client with a route to the container. Add published_ports or destination, or set verdict = \"return\" on the host.")
		}
		e.warnNotExternal(p, r)
	}
}

// warnNotOpened warns of an accept of ports of a container which seems to open them, although with
// nftables Docker's own tables still drop what is not published.
func (e *evaluator) warnNotOpened(r *Rule) {
	if len(r.PublishedPorts) == 0 && len(r.PublishedAddress) == 0 && (len(r.ContainerPorts) > 0 || r.Destination != nil) && !icmpOnly(r) {
		e.warn(diag.CodeNotOpened, r.Name.Range, fmt.Sprintf("accept %q opens no unpublished port", r.Name.Value),
			"With target = \"nftables\" an accept ends only dockerfw's own chain: Docker's tables still drop packets to ports that are not published. Publish the ports and list them in published_ports, or use target = \"iptables\".")
	}
}

// warnNotExternal warns of interfaces of an accept on which nothing is refused.
func (e *evaluator) warnNotExternal(p *Policy, r *Rule) {
	if r.Kind != KindAccept {
		return
	}
	for _, i := range r.Interfaces {
		if coveredBy(p.Host.ExternalInterfaces, i.Value) == nil {
			e.warn(diag.CodeNotExternal, i.Range, fmt.Sprintf("interface %q is not external", i.Value),
				"default drops nothing there, so the accept has no effect. Add it to the host's external_interfaces.")
		}
	}
}

// icmpOnly reports whether a rule matches only ICMP, which is never published.
func icmpOnly(r *Rule) bool {
	for _, p := range r.Protocols {
		if p.Value.Number != ICMP && p.Value.Number != ICMPv6 {
			return false
		}
	}
	return len(r.Protocols) > 0 || len(r.ICMPTypes) > 0
}
