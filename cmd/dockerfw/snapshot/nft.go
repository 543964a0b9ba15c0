package snapshot

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/parser/nft"
)

// positioned is a hook with its position among others.
type positioned struct {
	packet.Hook
	hook     string
	priority int
}

// snatPriority is the priority of source translation in POSTROUTING.
const snatPriority = 100

// order is the priority at which a chain is traversed: all chains of type nat are traversed at
// the priority of the nat core.
func (p *positioned) order() int {
	if p.Base != nil && p.Base.NAT && p.hook == "prerouting" {
		return -100
	}
	return p.priority
}

// inOrder sorts hooks as packets traverse them. Of two with the same priority the older one is
// first, and their age is not known. A drop is final in either order; marks that depend on the
// order are unknown.
func inOrder(all []positioned, path Path) []packet.Hook {
	slices.SortStableFunc(all, func(a, b positioned) int {
		return cmp.Or(
			slices.Index(hooksOnPath[path], a.hook)-slices.Index(hooksOnPath[path], b.hook),
			a.order()-b.order(),
		)
	})
	var out []packet.Hook
	for i, h := range all {
		if h.Base != nil {
			for k, o := range all {
				same := k != i && o.hook == h.hook && o.order() == h.order()
				if same && (o.Program.ChangesMarks() || h.Program.ChangesMarks()) {
					h.Program = h.Program.MarksUnknown()
					break
				}
			}
		}
		out = append(out, h.Hook)
	}
	return out
}

// nftHooks are the base chains of nft that packets of a path traverse, without those in the
// tables that iptables-save printed.
func (h *Host) nftHooks(f ir.Family, path Path) []positioned {
	if h.NFT == nil {
		return nil
	}
	var out []positioned
	for _, t := range h.NFT.Tables {
		if !ofFamily(t, f) || t.Dormant || h.readByIPTables(t) {
			continue
		}
		for _, c := range t.Chains {
			if !slices.Contains(hooksOnPath[path], c.Hook) || len(c.Rules) == 0 && c.Policy != "drop" {
				continue
			}
			var p *packet.Program
			if t == h.Table() {
				p = h.nftSets().Program(c, f)
			} else {
				p = netfilter.NFTProgram(t, c, f)
			}
			nat := c.Type == "nat"
			if nat && c.Hook != "prerouting" {
				if !p.Refuses() {
					continue
				}
				p = p.FirstPackets(netfilter.NFTTableName(t))
			}
			if c.Hook == "postrouting" && c.Priority >= snatPriority {
				p = p.AfterSNAT()
			}
			hook := packet.Hook{Table: netfilter.NFTTableName(t), Chain: c.Name, Program: p, Base: &packet.Base{Hook: c.Hook, Priority: c.Priority, NAT: nat}}
			out = append(out, positioned{hook, c.Hook, c.Priority})
		}
	}
	return out
}

func ofFamily(t *nft.Table, f ir.Family) bool {
	return t.Family == "inet" || t.Family == nftFamily(f)
}

func nftFamily(f ir.Family) string {
	if f == ir.IPv6 {
		return "ip6"
	}
	return "ip"
}

var tablesOfIPTables = []string{"filter", "nat", "mangle", "raw", "security"}

// readByIPTables reports whether a table is one of iptables-nft, which iptables-save printed.
func (h *Host) readByIPTables(t *nft.Table) bool {
	if h.Kind == Live && h.Backend == Legacy || !slices.Contains(tablesOfIPTables, t.Name) {
		return false
	}
	f := map[string]ir.Family{"ip": ir.IPv4, "ip6": ir.IPv6}[t.Family]
	return h.Rules[f] != nil && h.Rules[f].Table(t.Name) != nil
}

// UnsupportedChains lists the base chains of nft that may drop packets of a family and are not
// supported here: those of the hooks ingress and egress, and those of bridges.
func (h *Host) UnsupportedChains(f ir.Family) []string {
	if h.NFT == nil {
		return nil
	}
	var out []string
	for _, t := range h.NFT.Tables {
		for _, c := range t.Chains {
			device := c.Hook == "ingress" && (t.Family == "netdev" || ofFamily(t, f)) || c.Hook == "egress"
			bridge := t.Family == "bridge" && c.Hook != "" && c.Hook != "output"
			if (device || bridge) && (len(c.Rules) > 0 || c.Policy == "drop") {
				out = append(out, fmt.Sprintf("table %s %s, chain %s (hook %s, priority %d)", t.Family, t.Name, c.Name, c.Hook, c.Priority))
			}
		}
	}
	return out
}

// NFTRuleText is a rule of nft, or the policy of a base chain; ok is false for a position in a
// table of iptables.
func (h *Host) NFTRuleText(at packet.Origin) (text string, ok bool) {
	if h.NFT == nil {
		return "", false
	}
	for _, t := range h.NFT.Tables {
		c := t.Chain(at.Chain)
		if netfilter.NFTTableName(t) != at.Table || c == nil {
			continue
		}
		switch {
		case at.Policy:
			return fmt.Sprintf("policy %s of chain %s (hook %s, priority %d)", cmp.Or(c.Policy, "accept"), c.Name, c.Hook, c.Priority), true
		case at.Rule < 0:
			return "not the first packet of a connection", true
		case at.Rule < len(c.Rules):
			return c.Rules[at.Rule].Text(), true
		}
	}
	return "", false
}

// DockerTable is the name of the tables that Docker's nftables backend makes, one for each family.
const DockerTable = "docker-bridges"

// IsDockerRule reports whether a rule is in one of Docker's own nft tables.
func IsDockerRule(at packet.Origin) bool {
	return at.Table == "nft ip "+DockerTable || at.Table == "nft ip6 "+DockerTable
}

// native reports whether Docker has a table of its own, and whether its base chains exist.
func (h *Host) native(f ir.Family) (exists, reached bool) {
	t := h.NFT.Table(nftFamily(f), DockerTable)
	if t == nil {
		return false, false
	}
	var forward, nat bool
	for _, c := range t.Chains {
		forward = forward || c.Hook == "forward"
		nat = nat || c.Hook == "prerouting" && c.Type == "nat"
	}
	return true, forward && nat
}

// nativePublished returns the ports that Docker's own table translates: its rules match a port
// of a protocol, and exclude one interface.
func (h *Host) nativePublished(f ir.Family) []Published {
	t := h.NFT.Table(nftFamily(f), DockerTable)
	if t == nil {
		return nil
	}
	var out []Published
	for _, c := range t.Chains {
		if c.Hook != "prerouting" || c.Type != "nat" {
			continue
		}
		for _, chain := range netfilter.NFTProgram(t, c, f).Chains {
			for _, r := range chain.Rules {
				if p := publishedBy(r); p.Container.IsValid() && p.Protocol != 0 && p.Port != 0 && p.Bridge != "" {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

func publishedBy(r *packet.Rule) Published {
	var p Published
	const dnat = "DNAT --to-destination "
	if len(r.Verdict.With) > len(dnat) && r.Verdict.Kind == packet.Other {
		p.Container, _ = netip.ParseAddrPort(r.Verdict.With[len(dnat):])
	}
	var look func(c packet.Cond)
	look = func(c packet.Cond) {
		switch c := c.(type) {
		case packet.All:
			for _, x := range c {
				look(x)
			}
		case packet.Not:
			if i, ok := c.C.(packet.Interface); ok && i.End == packet.Source {
				p.Bridge, p.Proxied = i.Name, true
			}
		case packet.Addr:
			if one := c.In.Prefixes(2); c.End == packet.Destination && len(one) == 1 && one[0].IsSingleIP() {
				p.Address = one[0].Addr()
			}
		case packet.Proto:
			p.Protocol = c.Numbers[0]
		case packet.Port:
			if c.End == packet.Destination && len(c.Ranges) == 1 {
				p.Port = c.Ranges[0].First
			}
		}
	}
	for _, m := range r.Matches {
		look(m)
	}
	return p
}
