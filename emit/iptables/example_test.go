package iptables_test

import (
	"fmt"
	"net/netip"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/emit/iptables"
)

// A rule that accepts two published ports from two addresses becomes two iptables rules, one
// for each port, which match a set of the addresses.
func ExampleLegalize() {
	clients := ir.Addresses{Prefixes: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.10/32"),
		netip.MustParsePrefix("198.51.100.0/24"),
	}}
	ruleset := &ir.Ruleset{
		Chain: "DOCKER-USER",
		Programs: []*ir.Program{{Family: ir.IPv4, Rules: []*ir.Rule{
			{
				Phase:   ir.PhaseEstablished,
				States:  ir.CTEstablished | ir.CTRelated,
				Verdict: ir.Accept{},
			},
			{
				Phase:          ir.PhaseAccept,
				Origin:         ir.Origin{Block: "accept", Name: "web"},
				Name:           "web",
				In:             []string{"eth0"},
				Source:         ir.End{In: clients},
				Protocols:      []uint8{6},
				PublishedPorts: []ir.PortRange{{First: 80, Last: 80}, {First: 443, Last: 443}},
				Verdict:        ir.Accept{},
			},
			{
				Phase:   ir.PhaseDefault,
				In:      []string{"eth0"},
				Verdict: ir.Drop{},
			},
		}}},
	}

	tables, diags := iptables.Legalize(ruleset, iptables.Options{})
	if diags.HasErrors() {
		fmt.Println(diags)
		return
	}
	fmt.Printf("%s\n", iptables.Sets(tables.Sets, "ipset.restore"))
	fmt.Printf("%s", iptables.Rules(tables.Programs[0], "iptables.restore"))
	// Output:
	// # ipset.restore
	// create web.src hash:net family inet hashsize 1024 maxelem 1048576 -exist
	// destroy web.src-new -exist
	// create web.src-new hash:net family inet hashsize 1024 maxelem 1048576
	// add web.src-new 192.0.2.10
	// add web.src-new 198.51.100.0/24
	// swap web.src-new web.src
	// destroy web.src-new
	//
	// # iptables.restore
	// *filter
	// :DOCKER-USER - [0:0]
	// -A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j ACCEPT
	// -A DOCKER-USER -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 80 --ctdir ORIGINAL -m set --match-set web.src src -m comment --comment "dockerfw accept web" -j ACCEPT
	// -A DOCKER-USER -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -m set --match-set web.src src -m comment --comment "dockerfw accept web" -j ACCEPT
	// -A DOCKER-USER -i eth0 -m comment --comment "dockerfw default" -j DROP
	// COMMIT
	// *security
	// :DOCKERFW - [0:0]
	// -A DOCKERFW -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "dockerfw established" -j RETURN
	// -A DOCKERFW -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 80 --ctdir ORIGINAL -m set --match-set web.src src -m comment --comment "dockerfw accept web" -j RETURN
	// -A DOCKERFW -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport 443 --ctdir ORIGINAL -m set --match-set web.src src -m comment --comment "dockerfw accept web" -j RETURN
	// -A DOCKERFW -i eth0 -m comment --comment "dockerfw default" -j DROP
	// COMMIT
}
