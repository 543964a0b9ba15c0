package parser

import (
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// sharedRules are the rules of blocks that say the same on all hosts of a policy, so that the hosts of a fleet share them.
// It is safe for concurrent use.
type sharedRules struct {
	mu       sync.Mutex
	rules    map[sharedKey]*sharedRule
	constant map[*hcl.Block]bool
}

// sharedKey is what a rule of constants depends on.
type sharedKey struct {
	decl   *hcl.Block
	place  string
	target Target
	now    time.Time
}

// sharedRule is a rule without diagnostics, and what evaluating it costs.
type sharedRule struct {
	rule    *Rule
	enabled bool
	steps   int
}

// sharedRule returns the rule of a block if another host has evaluated it. Its cost counts as if it had been evaluated again.
func (e *evaluator) sharedRule(key sharedKey) *sharedRule {
	s := &e.source.shared
	s.mu.Lock()
	r := s.rules[key]
	s.mu.Unlock()
	if r == nil || !e.work.Repeat(r.steps) {
		return nil
	}
	return r
}

// share keeps a rule for other hosts, and returns it or the equal one that was kept meanwhile.
func (e *evaluator) share(key sharedKey, r *sharedRule) *Rule {
	s := &e.source.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept := s.rules[key]; kept != nil {
		return kept.rule
	}
	if s.rules == nil {
		s.rules = map[sharedKey]*sharedRule{}
	}
	s.rules[key] = r
	return r.rule
}

// mayShare reports whether a block of a policy with several hosts has nothing that depends on the host.
func (e *evaluator) mayShare(decl *hcl.Block) bool {
	if len(e.source.hosts) < 2 || e.origins != nil {
		return false
	}
	s := &e.source.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	constant, known := s.constant[decl]
	if !known {
		if s.constant == nil {
			s.constant = map[*hcl.Block]bool{}
		}
		constant = isConstant(decl)
		s.constant[decl] = constant
	}
	return constant
}

// isConstant reports whether a block refers to nothing but address sets, and is for all hosts. Functions may read files.
func isConstant(decl *hcl.Block) bool {
	body, native := decl.Body.(*hclsyntax.Body)
	if !native || body.Attributes["hosts"] != nil || body.Attributes["for_each"] != nil {
		return false
	}
	constant := true
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.FunctionCallExpr:
			constant = false
		case *hclsyntax.ScopeTraversalExpr:
			constant = constant && n.Traversal.RootName() == "ipset"
		}
		return nil
	})
	return constant
}
