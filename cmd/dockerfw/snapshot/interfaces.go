package snapshot

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Interfaces are the patterns of the external interfaces of the policy, and of those of
// containers; container is nil if it does not set them. On a live host, in saved
// rules and in folders of earlier versions they are read from the rules of dockerfw; both are nil if
// there are none.
func (h *Host) Interfaces(f ir.Family) (external, container []string) {
	if h.External != nil {
		return h.External, h.Container
	}
	if h.NFTables() {
		return h.interfacesOfTable(f)
	}
	// The rules of default match exactly these.
	for _, r := range h.incoming(f) {
		if id, ok := identity.IDOf(r); ok && id.Phase == ir.PhaseDefault {
			external, container = addValue(external, r, "-i"), addValue(container, r, "-o")
		}
	}
	if external == nil {
		external, container = h.onPaths(f, ir.PhaseEstablished, "-i", "-o")
	}
	if external == nil {
		external, container = h.onPaths(f, ir.PhaseEgress, "-o", "-i")
	}
	return external, container
}

// onPaths are the interfaces of a policy whose default refuses nothing. Its rules accept replies,
// or jump to those of egress, on every interface that a rule lists: first on those of the host,
// then on those that only one rule lists. The latter have other container interfaces, or are
// bridges of Docker; any others cannot be distinguished from those of the host. outside and inside
// are the options for the two sides.
func (h *Host) onPaths(f ir.Family, phase ir.Phase, outside, inside string) (external, container []string) {
	var first *iptables.Rule
	for _, r := range h.incoming(f) {
		if id, ok := identity.IDOf(r); !ok || id.Phase != phase {
			continue
		}
		if first == nil {
			first = r
		}
		if value(r, inside) == value(first, inside) && (r == first || !dockersBridge(value(r, outside))) {
			external = addValue(external, r, outside)
		}
		if value(r, outside) == value(first, outside) && value(first, inside) != "" {
			container = addValue(container, r, inside)
		}
	}
	return external, container
}

// value is the value of a rule's option; "" without the option.
func value(r *iptables.Rule, option string) string {
	if o := r.Option(option); o != nil {
		return o.Value()
	}
	return ""
}

// dockersBridge reports whether an interface has a name that Docker gives to bridges.
func dockersBridge(name string) bool {
	return strings.HasPrefix(name, "docker") || strings.HasPrefix(name, "br-")
}

// incoming are the rules of dockerfw for forwarded packets from outside, and the jumps to those of egress.
func (h *Host) incoming(f ir.Family) []*iptables.Rule {
	t := h.Filter(f)
	if t == nil {
		return nil
	}
	var out []*iptables.Rule
	for _, c := range t.Chains {
		if c.Name == identity.OwnPrefix || !identity.IsOwnChain(c.Name) {
			out = append(out, slices.DeleteFunc(slices.Clone(c.Rules), func(r *iptables.Rule) bool { return !identity.Ours(r) })...)
		}
	}
	return out
}

// addValue adds the value of a rule's option, if the rule has it without negation.
func addValue(to []string, r *iptables.Rule, option string) []string {
	if o := r.Option(option); o != nil && !o.Not && !slices.Contains(to, o.Value()) {
		to = append(to, o.Value())
	}
	return to
}
