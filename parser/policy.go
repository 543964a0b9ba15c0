package parser

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Evaluate gives all expressions their values and returns the typed policy of a
// host. The policy is nil when there is an error.
func (s *Source) Evaluate() (*Policy, hcl.Diagnostics) {
	e := newEvaluator(s)
	hostBlock := s.blocks["host"][0]
	e.variables(e.hostVariables(hostBlock))
	e.locals()

	p := &Policy{Files: s.Names, Host: e.host(hostBlock)}
	for _, b := range s.blocks["ipset"] {
		p.Sets = append(p.Sets, e.ipset(b))
	}
	p.Established = &Established{DeclRange: p.Host.DeclRange}
	for _, b := range s.blocks["established"] {
		p.Established = e.established(b)
	}
	for _, kind := range []RuleKind{KindDeny, KindAccept} {
		for _, b := range s.blocks[string(kind)] {
			p.Rules = append(p.Rules, e.rule(b, kind))
		}
	}
	p.Default = &Default{DeclRange: p.Host.DeclRange, Action: ActionDrop}
	for _, b := range s.blocks["default"] {
		p.Default = e.defaultBlock(b)
	}
	e.warnings(p)
	if e.diags.HasErrors() {
		return nil, e.diags
	}
	return p, e.diags
}

var establishedSchema = &hcl.BodySchema{}

func (e *evaluator) established(decl *hcl.Block) *Established {
	e.open(decl, establishedSchema, e.ctx)
	return &Established{DeclRange: decl.DefRange}
}

var defaultSchema = &hcl.BodySchema{Attributes: attributes("allow", "action")}

func (e *evaluator) defaultBlock(decl *hcl.Block) *Default {
	b := e.open(decl, defaultSchema, e.ctx)
	d := &Default{DeclRange: decl.DefRange, Written: true, Allow: b.operands("allow")}
	action := b.choice("action", string(ActionDrop), string(ActionDrop), string(ActionReject), string(ActionReturn))
	d.Action = Action(action.Value)
	if d.Action == ActionReturn {
		if d.Allow != nil {
			b.error(codeConflict, d.Allow.Range, "allow with action = \"return\"", "With \"return\" everyone is let through to Docker's rules, and allow means nothing. Leave one of the two out.")
		} else {
			b.warn(codeOpenDefault, action.Range, "open by default", "Everyone who is not denied reaches what Docker publishes. Use action = \"drop\" with allow to name who may.")
		}
	}
	return d
}

// warnings looks at the policy as a whole for what is allowed but seldom meant.
func (e *evaluator) warnings(p *Policy) {
	if p.Host.Verdict != VerdictAccept {
		return
	}
	for _, r := range p.Rules {
		if r.Kind == KindAccept && len(r.PublishedPorts) == 0 && len(r.PublishedAddress) == 0 && r.Destination == nil {
			e.warn(codeAcceptAll, r.DeclRange, fmt.Sprintf("accept %q opens unpublished ports", r.Name.Value),
				"Its ACCEPT skips Docker's own rules, so that container ports nobody published can be reached by whoever has a route to the container. Add published_ports or destination, or set verdict = \"return\" on the host.")
		}
	}
}
