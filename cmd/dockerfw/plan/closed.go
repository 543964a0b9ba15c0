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
// ports; containers can still open connections to the outside. It needs no sets.
//
// The interfaces and ports are those of want. Without any, because the compiled folder cannot be
// read, only packets from the interfaces of containers pass.
func Closed(want *Version) (*Version, error) {
	out := &Version{Rules: map[ir.Family]*Rules{}, Sets: &iptables.Sets{}, Unmanaged: &iptables.Sets{}}
	external := want.external()
	for _, f := range families {
		forwarded := closedForward(external)
		input := []string{established(ir.InputChain)}
		if want != nil {
			input = append(input, want.Rules[f].protected()...)
		}
		var err error
		r := &Rules{Target: "DOCKER-USER"}
		if r.Filter, err = block(filter, []string{ir.OwnChain, ir.InputChain}, append(forwarded, input...)); err != nil {
			return nil, err
		}
		if r.Security, err = block(security, []string{ir.OwnChain}, forwarded); err != nil {
			return nil, err
		}
		out.Rules[f] = r
	}
	return out, nil
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

// protected are rules that drop the packets for docker-proxy which the rules of a version send to
// the chain of its ports.
func (r *Rules) protected() []string {
	var out []string
	if b := r.block(filter); b != nil {
		for _, c := range b.Commands {
			if c.Rule != nil && c.Chain == ir.InputChain && c.Rule.Jump == ir.ProxyChain {
				out = append(out, "-A "+c.Chain+" "+strings.TrimSuffix(c.Rule.Text, " -j "+ir.ProxyChain)+" -j DROP")
			}
		}
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
