package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// loadAgain is how to bring the rules of a host up to date.
const loadAgain = "Run: dockerfw apply FOLDER"

// security checks the fallback rules in the security table: that they are those that were
// compiled, that FORWARD and INPUT of the table lead to them, and that the table refuses nothing
// that the rules of the filter table admit; nothing there would show why. In INPUT, foreign rules
// may refuse more, as in the filter table.
func security(h *hosts) (result, error) {
	if h.have.NoSecurity[h.family] {
		return nothing("the kernel has no security table, and so no fallback rules")
	}
	want := h.want.Rules[h.family].Table("security")
	have := h.have.Rules[h.family].Table("security")
	forwarded, err := newSecurityTable(h, snapshot.Forward)
	if err != nil {
		return result{}, err
	}
	toHost, err := newSecurityTable(h, snapshot.ToHost)
	if err != nil {
		return result{}, err
	}
	var faults []string
	excess, ours := forwarded.excess()
	if excess != "" {
		faults = append(faults, excess)
	}
	other, oursToHost := toHost.excess()
	if oursToHost {
		faults, ours, other = append(faults, other), true, ""
	}
	needed := len(ownChains(want)) > 0
	exist := slices.ContainsFunc(ownChains(want), func(c *iptables.Chain) bool { return have.Chain(c.Name) != nil })
	switch {
	case !needed || ours:
		// Rules of another version that refuse too much are one fault.
	case !exist && have == nil && !live(h):
		if len(faults) == 0 {
			return nothing("no security table was saved; if the host has none, its fallback rules are missing")
		}
	case !exist:
		faults = append(faults, "the fallback rules are missing. "+loadAgain+" (a kernel without the security table cannot have them)")
	default:
		version := otherVersion(want, have, h.family)
		if version != "" {
			faults = append(faults, fmt.Sprintf("fallback rules: %s. %s", version, loadAgain))
		}
		for _, s := range []*securityTable{forwarded, toHost} {
			if want.Chain(s.chain()) == nil {
				continue
			}
			if text := s.noJump(); text != "" {
				faults = append(faults, text)
			} else if text := s.bypassed(); text != "" && version == "" {
				faults = append(faults, text)
			}
		}
	}
	switch {
	case len(faults) > 0:
		return failed("%s", strings.Join(faults, "; "))
	case !needed:
		return nothing("no fallback rules were compiled, and the table refuses nothing that the rules admit")
	case other != "":
		return ok("the fallback rules are complete. Besides, %s", other)
	}
	return ok("the fallback rules are complete, and the security table refuses nothing else")
}

// ownChains are the chains of a table that belong to dockerfw.
func ownChains(t *iptables.Table) []*iptables.Chain {
	if t == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(t.Chains), func(c *iptables.Chain) bool { return !identity.IsOwnChain(c.Name) })
}

// otherVersion describes how the chains of dockerfw in the security table differ from those
// that were compiled; "" if they do not.
func otherVersion(want, have *iptables.Table, f ir.Family) string {
	var faults []string
	for _, c := range ownChains(want) {
		switch there := have.Chain(c.Name); {
		case there == nil:
			faults = append(faults, "chain "+c.Name+" is missing")
		case !slices.Equal(texts(c, f), texts(there, f)):
			faults = append(faults, "chain "+c.Name+" "+difference(texts(c, f), texts(there, f)))
		}
	}
	for _, c := range ownChains(have) {
		if want.Chain(c.Name) == nil {
			faults = append(faults, "chain "+c.Name+" is of another version")
		}
	}
	return strings.Join(faults, "; ")
}

// texts are all rules of a chain, as iptables-save prints them.
func texts(c *iptables.Chain, f ir.Family) []string {
	var out []string
	for _, r := range c.Rules {
		out = append(out, r.Canonical(iptables.Family(f)))
	}
	return out
}

// securityTable is what a built-in chain of the security table does, evaluated with the algebra.
type securityTable struct {
	*hosts
	path snapshot.Path
	// table is the host's, wanted the same after loading, and rules those of dockerfw in the
	// filter table.
	table, wanted, rules *packet.Evaluation
}

func newSecurityTable(h *hosts, path snapshot.Path) (*securityTable, error) {
	table, err := securityRoute(h.have, h.family, path)
	if err != nil {
		return nil, err
	}
	wanted, err := securityRoute(h.filled, h.family, path)
	if err != nil {
		return nil, err
	}
	entry := h.want.EntryChain()
	if path == snapshot.ToHost {
		entry = ir.InputChain
	}
	space, err := packet.New(table, wanted, h.filled.Program(h.family, entry))
	if err != nil {
		return nil, err
	}
	all := space.Programs()
	return &securityTable{hosts: h, path: path, table: all[0], wanted: all[1], rules: all[2]}, nil
}

// securityRoute is the route of packets of a path through the security table alone.
func securityRoute(h *snapshot.Host, f ir.Family, path snapshot.Path) (*packet.Program, error) {
	toHost := path == snapshot.ToHost
	hooks := slices.DeleteFunc(h.Hooks(f, path), func(hook packet.Hook) bool { return hook.Table != "security" })
	if len(hooks) == 0 {
		return &packet.Program{Family: f, ToHost: toHost, Chains: []*packet.Chain{{Name: path.FilterChain()}}, Default: packet.Verdict{Kind: packet.Accept}}, nil
	}
	return packet.Route(f, toHost, hooks)
}

// chain is the chain of the table with the fallback rules of the path.
func (s *securityTable) chain() string {
	if s.path == snapshot.ToHost {
		return ir.InputChain
	}
	return identity.OwnPrefix
}

// excess describes packets that the table refuses and the rules of dockerfw in the filter table
// admit; "" if there are none. ours reports that fallback rules of dockerfw refuse them.
func (s *securityTable) excess() (text string, ours bool) {
	more := snapshot.Refused(s.table).Diff(snapshot.Refused(s.rules))
	if more.IsEmpty() {
		return "", false
	}
	witness, _ := more.Witness()
	at := s.table.Program.Rule(s.table.Decide(witness).At).At
	advice := "It is a foreign rule; delete it if it should not be there"
	switch {
	case at.Policy:
		advice = fmt.Sprintf("If it should not, run: %s -t security -P %s ACCEPT", s.have.Tool(s.family), s.path.FilterChain())
	case s.have.RuleAt(s.family, at).Ours():
		ours = true
		advice = "The fallback rules are of another version. " + loadAgain
	}
	return fmt.Sprintf("%s drops packets that the rules admit, such as %s. %s", s.have.RuleText(s.family, at), witness, advice), ours
}

// noJump reports a missing jump to the fallback rules; "" if it is there.
func (s *securityTable) noJump() string {
	builtin := s.path.FilterChain()
	if snapshot.Reaches(s.have.Rules[s.family].Table("security"), builtin, s.chain()) {
		return ""
	}
	return fmt.Sprintf("%s of the security table does not jump to its chain %s. %s, which adds the jump, or: %s -t security -I %[1]s 1 -j %[2]s", builtin, s.chain(), loadAgain, s.have.Tool(s.family))
}

// bypassed describes packets that the fallback rules refuse and that another rule of the table
// lets through before they get there; "" if there are none.
func (s *securityTable) bypassed() string {
	missed := snapshot.Refused(s.wanted).Diff(snapshot.Refused(s.table))
	if missed.IsEmpty() {
		return ""
	}
	witness, _ := missed.Witness()
	rule := s.path.FilterChain() + " jumps to them only under conditions"
	if at := s.table.Decide(witness).At; at != packet.AtEnd && !s.table.Program.Rule(at).At.Policy {
		rule = s.have.RuleText(s.family, s.table.Program.Rule(at).At) + " is before them"
	}
	return fmt.Sprintf("the fallback rules do not get packets such as %s: %s. %s, which makes the jump to them the first rule", witness, rule, loadAgain)
}
