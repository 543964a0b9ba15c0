package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// Closed is the version for a boot at which nothing else can be loaded. It drops all packets
// that arrive on the external interfaces for containers, and those for docker-proxy on protected
// ports; containers can still open connections to the outside. A host that the policy closes
// with an input block stays closed: see closedHost. It needs no sets.
//
// The interfaces and ports are those of want. Without any, because the compiled folder cannot be
// read, only packets from the interfaces of containers pass.
func Closed(want *Version) (*Version, error) {
	out := &Version{Rules: map[ir.Family]*Rules{}, Sets: &iptables.Sets{}, Unmanaged: &iptables.Sets{}}
	forwarded := closedForward(want.external())
	for _, f := range families {
		var rules *Rules
		if want != nil {
			rules = want.Rules[f]
		}
		r := &Rules{Target: "DOCKER-USER"}
		chains, input := closedInput(rules.block(filter), f)
		var err error
		if r.Filter, err = block(filter, append([]string{ir.OwnChain}, chains...), slices.Concat(forwarded, input)); err != nil {
			return nil, err
		}
		chains, input = nil, nil
		if declared(rules.block(security))[ir.InputChain] {
			chains, input = closedInput(rules.block(security), f)
		}
		if r.Security, err = block(security, append([]string{ir.OwnChain}, chains...), slices.Concat(forwarded, input)); err != nil {
			return nil, err
		}
		out.Rules[f] = r
	}
	return out, nil
}

// closedInput are the chains for packets to the host and their rules, from those that a block of a
// version has.
func closedInput(b *iptables.Block, f ir.Family) (chains, rules []string) {
	chains, rules = []string{ir.InputChain}, append([]string{established(ir.InputChain)}, protected(b)...)
	if host := closedHost(b, f); host != nil {
		chains, rules = append(chains, ir.HostChain), append(rules, host...)
	}
	return chains, rules
}

const closedComment = `-m comment --comment "dockerfw closed"`

func established(chain string) string {
	return fmt.Sprintf("-A %s -m conntrack --ctstate RELATED,ESTABLISHED %s -j RETURN", chain, closedComment)
}

func closedForward(external []string) []string {
	out := []string{established(ir.OwnChain)}
	for _, name := range external {
		out = append(out, fmt.Sprintf("-A %s -i %s %s -j DROP", ir.OwnChain, name, closedComment))
	}
	if len(external) > 0 {
		return out
	}
	for _, name := range []string{"docker+", "br-+"} {
		out = append(out, fmt.Sprintf("-A %s -i %s %s -j RETURN", ir.OwnChain, name, closedComment))
	}
	return append(out, fmt.Sprintf("-A %s %s -j DROP", ir.OwnChain, closedComment))
}

// external are the interfaces on which the established rules of a version match packets: each
// policy has such a rule for each of its external interfaces.
func (v *Version) external() []string {
	var out []string
	if v == nil {
		return nil
	}
	for _, f := range families {
		b := v.Rules[f].block(filter)
		if b == nil {
			continue
		}
		for _, c := range b.Commands {
			if c.Rule == nil || c.Rule.Comment() != (ir.RuleID{Phase: ir.PhaseEstablished}).Comment() {
				continue
			}
			if in := c.Rule.Option("-i"); in != nil && !in.Not && !slices.Contains(out, in.Value()) {
				out = append(out, in.Value())
			}
		}
	}
	slices.Sort(out)
	return out
}

// protected are rules that drop the packets for docker-proxy which the rules of a block send to
// the chain of its ports. The rules that keep its packets from the input block stay, and the jumps
// to that block.
func protected(b *iptables.Block) []string {
	var out []string
	for _, c := range commands(b) {
		if c.Rule == nil || c.Chain != ir.InputChain {
			continue
		}
		switch c.Rule.Jump {
		case ir.ProxyChain:
			out = append(out, "-A "+c.Chain+" "+strings.TrimSuffix(c.Rule.Text, " -j "+ir.ProxyChain)+" -j DROP")
		case ir.HostChain, "RETURN":
			out = append(out, "-A "+c.Chain+" "+c.Rule.Text)
		}
	}
	return out
}

// sshPort is the port of sshd, unless its configuration changes it.
const sshPort = 22

// needless are the matches that closedHost does without: sets, because they may be what cannot be
// loaded, and limits, because their kernel modules may be missing for the same reason. If one rule
// cannot be loaded, iptables-restore loads none, and published ports are open.
var needless = []string{"set", "hashlimit", "limit", "connlimit"}

// closedHost are the rules for the input block of the policy that a block of a table has, without
// sets and limits; nil if it has none. Where the policy cannot be kept to without a set, a service of the host
// that is open to some clients is open to all: after a boot at which nothing could be loaded, the
// administrator has to reach sshd to repair the host, and sshd asks for a key or a password. So:
//
//   - What accepts packets stays, from any client if it was for those of a set.
//   - What refuses packets stays, unless it needs a set or a limit: it could refuse the administrator.
//   - The default stays. If it spares the clients of a set, it refuses these too, but not on port 22:
//     else all ports of the host would be open to everyone.
//
// Nothing is logged.
func closedHost(b *iptables.Block, f ir.Family) []string {
	if !declared(b)[ir.HostChain] {
		return nil
	}
	out, spared := []string{established(ir.HostChain)}, false
	for _, c := range b.Commands {
		if c.Rule == nil || c.Chain != ir.HostChain {
			continue
		}
		rule := *c.Rule
		rule.Matches = slices.DeleteFunc(slices.Clone(rule.Matches), func(m iptables.Match) bool { return slices.Contains(needless, m.Name) })
		whole := len(rule.Matches) == len(c.Rule.Matches)
		byDefault := rule.Comment() == (ir.RuleID{Phase: ir.PhaseDefault}).Comment()
		switch rule.Jump {
		case "ACCEPT", "RETURN":
		case "DROP", "REJECT":
			if !whole && !byDefault {
				continue
			}
			if !whole && !spared {
				spared = true
				out = append(out, fmt.Sprintf("-A %s -p tcp -m tcp --dport %d %s -j RETURN", ir.HostChain, sshPort, closedComment))
			}
		default: // LOG and NFLOG
			continue
		}
		out = append(out, "-A "+ir.HostChain+" "+rule.Canonical(iptables.Family(f)))
	}
	return out
}

// block is the block of a table with some chains and rules.
func block(table string, chains, rules []string) (*iptables.Block, error) {
	text := "*" + table + "\n:" + strings.Join(chains, " - [0:0]\n:") + " - [0:0]\n" + strings.Join(rules, "\n") + "\nCOMMIT\n"
	file, diags := iptables.ParseRules(strings.NewReader(text), "closed")
	if diags.HasErrors() {
		return nil, diags
	}
	return file.Blocks[0], nil
}
