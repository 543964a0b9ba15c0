package verify

import (
	"slices"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/identity"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// unsupportedChains are the base chains of nft that no check covers, of all families.
func unsupportedChains(h *hosts) []string {
	var out []string
	for _, f := range h.want.Families() {
		for _, chain := range h.have.UnsupportedChains(f) {
			if !slices.Contains(out, chain) {
				out = append(out, chain)
			}
		}
	}
	return out
}

func nftNotCovered(h *hosts) bool {
	return len(unsupportedChains(h)) > 0 || live(h) && h.have.NFTUnread != ""
}

// nftTables lists what of nft the other checks do not cover.
func nftTables(h *hosts) (result, error) {
	if chains := unsupportedChains(h); len(chains) > 0 {
		return nothing("not supported, and may drop packets that the rules accept: %s", strings.Join(chains, "; "))
	}
	return nothing("nft tables other than those of iptables were not read: %s", h.have.NFTUnread)
}

// backend checks that dockerfw's rules are in the same kind of iptables as Docker's, and that
// the other kind has none of either: packets traverse both.
func backend(h *hosts) (result, error) {
	for _, f := range h.want.Families() {
		rule, err := leftOver(h, f)
		if err != nil {
			return result{}, err
		}
		if rule != "" {
			return failed("%s-%s has rules of Docker or dockerfw too, such as %s: packets traverse both kinds of iptables. The rules are left over from a change; delete them if Docker does not use %[1]s-%[2]s", snapshot.IPTables(f), h.have.Backend.Other(), rule)
		}
	}
	var docker, ours, native bool
	for _, f := range h.want.Families() {
		d := h.have.Docker(f)
		docker = docker || d.Filter || d.NAT
		native = native || d.Native
		ours = ours || slices.ContainsFunc(h.want.Own[f], func(chain string) bool { return h.have.Filter(f).Chain(chain) != nil })
	}
	switch {
	case native && ours:
		return ok("Docker's rules are in nft tables of its own (%s), dockerfw's in the tables of iptables-%s: packets traverse both, and a drop in either is final", snapshot.DockerTable, h.have.Backend)
	case native:
		return nothing("Docker's rules are in nft tables of its own (%s); dockerfw has no rules", snapshot.DockerTable)
	case docker && ours:
		return ok("the rules of Docker and dockerfw are in the same tables, those of iptables-%s", h.have.Backend)
	case docker:
		return nothing("Docker's rules are in the tables of iptables-%s; dockerfw has no rules", h.have.Backend)
	case ours:
		return nothing("dockerfw's rules are in the tables of iptables-%s; Docker has no rules", h.have.Backend)
	}
	return nothing("neither Docker nor dockerfw has rules in the tables of iptables-nft or iptables-legacy")
}

// leftOver is a rule of Docker or dockerfw in the kind of iptables that Docker does not use; "" for
// none. An empty chain DOCKER-USER, or one with Docker's RETURN, has no effect. Of a host that was
// read for a load, dockerfw's rules do not count: the load reports and removes them.
func leftOver(h *hosts, f ir.Family) (string, error) {
	other, err := h.have.OtherRules(f)
	if other == nil || err != nil {
		return "", err
	}
	loading := h.have.Other != nil
	for _, t := range other.Tables {
		for _, c := range t.Chains {
			for i, r := range c.Rules {
				ours := identity.IsOwnChain(c.Name) || identity.Ours(r)
				dockers := identity.IsDockerChain(c.Name) || c.Name == "FORWARD" && identity.IsDockerChain(r.Jump) ||
					c.Name == "DOCKER-USER" && !identity.IsDockerReturn(c, i)
				if ours && !loading || dockers && !ours {
					return "-A " + c.Name + " " + r.Text, nil
				}
			}
		}
	}
	return "", nil
}
