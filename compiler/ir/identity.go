package ir

import "strings"

// The chains of dockerfw. All chains whose names begin with OwnChain belong to dockerfw.
const (
	// OwnChain has the rules of ScopeForward with InstallJump.
	OwnChain = "DOCKERFW"
	// EgressChain has the rules of ScopeEgress.
	EgressChain = "DOCKERFW-EGRESS"
	// InputChain has the rules of ScopeInput. INPUT begins with a jump to it.
	InputChain = "DOCKERFW-INPUT"
	// ProxyChain has the rules of ScopeProxy.
	ProxyChain = "DOCKERFW-PROXY"
	// HostChain has the rules of ScopeHost.
	HostChain = "DOCKERFW-HOST"
)

// ChainOf returns the name of the chain with the rules of a scope.
func (rs *Ruleset) ChainOf(s Scope) string {
	switch {
	case s == ScopeForward && rs.Install == InstallJump:
		return OwnChain
	case s == ScopeForward:
		return rs.Chain
	}
	return [...]string{ScopeEgress: EgressChain, ScopeInput: InputChain, ScopeProxy: ProxyChain, ScopeHost: HostChain}[s]
}

// SetName returns the name on the host that dockerfw gives a set with a label in the policy.
func SetName(label string, f Family) string {
	if f == IPv6 {
		return label + "-v6"
	}
	return label
}

// HostName returns the name of the set on the host.
func (s *Set) HostName() string {
	if s.Family == IPv6 && s.IPv6Name != "" {
		return s.IPv6Name
	}
	return SetName(s.Name, s.Family)
}

// RuleID identifies the rule of a policy that a rule in the kernel comes from.
type RuleID struct {
	Phase Phase
	// Name is the label of the rule's block; "" for blocks without one.
	Name string
}

// MergedName returns the name of a rule that several rules of the policy were merged into: those for a
// protocol and ports, as in "tcp/443". No rule of a policy has such a name.
func MergedName(protocol, ports string) string { return protocol + "/" + ports }

// Merged reports whether several rules of the policy were merged into the rule. The comments of the
// entries in its set are their names.
func (id RuleID) Merged() bool { return strings.Contains(id.Name, "/") }

// Leads reports whether the rule only leads to a chain with others, as those of denies and accepts
// without a name do.
func (id RuleID) Leads() bool {
	return id.Name == "" && (id.Phase == PhaseDeny || id.Phase == PhaseAccept)
}

// ID returns the identity of the rule.
func (r *Rule) ID() RuleID { return RuleID{r.Phase, r.Origin.Name} }

const commentPrefix = "dockerfw "

// Comment returns the comment that the rule has in the kernel, such as "dockerfw accept
// https". Names are short enough for the 255 bytes that iptables keeps
// (docs/contributing/netfilter.md, "Lengths of names and texts").
func (id RuleID) Comment() string {
	text := commentPrefix + id.Phase.String()
	if id.Name != "" {
		text += " " + id.Name
	}
	return text
}

// IsComment reports whether the comment of a rule in the kernel is one of dockerfw's.
func IsComment(text string) bool { return strings.HasPrefix(text, commentPrefix) }

// ParseComment is the inverse of Comment; ok is false for text that Comment never returns.
func ParseComment(text string) (id RuleID, ok bool) {
	rest, ok := strings.CutPrefix(text, commentPrefix)
	if !ok {
		return RuleID{}, false
	}
	word, name, named := strings.Cut(rest, " ")
	if named && (name == "" || strings.Contains(name, " ")) {
		return RuleID{}, false
	}
	for p := PhaseForward; p <= PhaseInput; p++ {
		if p.String() == word {
			return RuleID{p, name}, true
		}
	}
	return RuleID{}, false
}
