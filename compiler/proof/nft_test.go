package proof_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet/netfilter"
	"github.com/dockerfw/dockerfw/compiler/proof"
)

const nftPolicy = policyText + `
accept "ssh" {
  protocol        = "tcp"
  published_ports = [22]
  source          = [ipset.office]
  connections { max = 3 }
}
deny "flood" {
  published_ports = [53]
  protocol        = "udp"
  rate { limit = "20/second" }
}
`

const correctTable = `# Compiled by dockerfw from policy.hcl; do not edit. Loading it replaces all rules of table inet dockerfw.
table inet dockerfw
flush table inet dockerfw
table inet dockerfw {
	set office.3f9a61c2 {
		type ipv4_addr
		flags interval
		elements = { 192.0.2.0/24 }
	}

	set office-v6.3f9a61c3 {
		type ipv6_addr
		flags interval
	}

	set banned {
		type ipv4_addr
		flags interval,timeout
	}

	set banned-v6 {
		type ipv6_addr
		flags interval,timeout
	}

	set ssh.connections {
		type ipv4_addr
		size 65535
		flags dynamic
	}

	set ssh.connections-v6 {
		type ipv6_addr
		size 65535
		flags dynamic
	}

	set flood.rate {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	set flood.rate-v6 {
		type ipv6_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		iifname "eth0" jump dockerfw-in comment "dockerfw forward"
	}

	chain input {
		type filter hook input priority filter - 10; policy accept;
		iifname "eth0" tcp dport { 22, 443 } jump dockerfw-proxy comment "dockerfw input"
		iifname "eth0" udp dport 53 jump dockerfw-proxy comment "dockerfw input"
	}

	chain dockerfw-in {
		ct state established,related accept comment "dockerfw established"
		ip saddr @banned drop comment "dockerfw deny banned"
		ip6 saddr @banned-v6 drop comment "dockerfw deny banned"
		ct status dnat ct direction original meta l4proto udp ct original proto-dst 53 ct state new update @flood.rate { ip saddr limit rate over 20/second burst 5 packets } drop comment "dockerfw deny flood"
		ct status dnat ct direction original meta l4proto udp ct original proto-dst 53 ct state new update @flood.rate-v6 { ip6 saddr limit rate over 20/second burst 5 packets } drop comment "dockerfw deny flood"
		ct status dnat ct direction original meta l4proto tcp ct original proto-dst 443 ct state new limit rate 90/minute burst 5 packets log prefix "x" comment "dockerfw accept web"
		ct status dnat ct direction original meta l4proto tcp ct original proto-dst 443 ct state new limit rate 90/minute burst 5 packets accept comment "dockerfw accept web"
		ip saddr @office.3f9a61c2 ct status dnat ct direction original meta l4proto tcp ct original proto-dst 22 ct state new add @ssh.connections { ip saddr ct count 3 } accept comment "dockerfw accept ssh"
		ip6 saddr @office-v6.3f9a61c3 ct status dnat ct direction original meta l4proto tcp ct original proto-dst 22 ct state new add @ssh.connections-v6 { ip6 saddr ct count 3 } accept comment "dockerfw accept ssh"
		ip saddr != @office.3f9a61c2 drop comment "dockerfw default"
		ip6 saddr != @office-v6.3f9a61c3 drop comment "dockerfw default"
	}

	chain dockerfw-proxy {
		ct state established,related return comment "dockerfw established"
		ip saddr @banned drop comment "dockerfw deny banned"
		ip6 saddr @banned-v6 drop comment "dockerfw deny banned"
		udp dport 53 ct state new update @flood.rate { ip saddr limit rate over 20/second burst 5 packets } drop comment "dockerfw deny flood"
		udp dport 53 ct state new update @flood.rate-v6 { ip6 saddr limit rate over 20/second burst 5 packets } drop comment "dockerfw deny flood"
		tcp dport 443 ct state new limit rate 90/minute burst 5 packets return comment "dockerfw accept web"
		ip saddr @office.3f9a61c2 tcp dport 22 ct state new add @ssh.connections { ip saddr ct count 3 } return comment "dockerfw accept ssh"
		ip6 saddr @office-v6.3f9a61c3 tcp dport 22 ct state new add @ssh.connections-v6 { ip6 saddr ct count 3 } return comment "dockerfw accept ssh"
		ip saddr != @office.3f9a61c2 drop comment "dockerfw default"
		ip6 saddr != @office-v6.3f9a61c3 drop comment "dockerfw default"
	}
}
`

const correctRemoval = "table inet dockerfw\ndelete table inet dockerfw\n"

func TestOnlyATableOfNFTWithTheVerdictsOfThePolicyIsProved(t *testing.T) {
	name := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(name, []byte(nftPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	policy := evaluate(name)
	for _, c := range []struct {
		name, old, new string
		// want is part of the error, "" for none.
		want string
	}{
		{"correct text", "", "", ""},
		{"a rule that returns before the default", "\t\tip saddr != @office.3f9a61c2 drop", "\t\tiifname \"eth0\" return comment \"dockerfw accept x\"\n\t\tip saddr != @office.3f9a61c2 drop", `is "drop" by the policy (default) and "docker" by the text (no rule)`},
		{"the same addresses in other elements", "192.0.2.0/24", "192.0.2.0/25, 192.0.2.128-192.0.2.255", ""},
		{"an unmanaged set with elements", "flags interval,timeout\n", "flags interval,timeout\n\t\telements = { 192.0.2.0/24 }\n", "Instead of an element of type ipv6_addr here is"},
		{"another published port", "proto-dst 443 ct state new limit rate 90/minute burst 5 packets accept", "proto-dst 444 ct state new limit rate 90/minute burst 5 packets accept", `is "accept" by the policy (accept web) and "drop" by the text (dockerfw default)`},
		{"a missing deny", "\t\tip saddr @banned drop comment \"dockerfw deny banned\"\n", "", `is "drop" by the policy (deny banned)`},
		{"a missing deny of IPv6", "\t\tip6 saddr @banned-v6 drop comment \"dockerfw deny banned\"\n", "", `is "drop" by the policy (deny banned)`},
		{"a wider set", "192.0.2.0/24", "192.0.2.0/23", `is "drop" by the policy (default) and "docker" by the text (no rule)`},
		{"a narrower set", "192.0.2.0/24", "192.0.2.0-192.0.2.254", `is "docker" by the policy (no rule) and "drop" by the text (dockerfw default)`},
		{"a missing limit", "ct state new limit rate 90/minute burst 5 packets accept", "ct state new accept", `and "accept" by the text (dockerfw accept web)`},
		{"a limit of another rule", "comment \"dockerfw accept ssh\"", "comment \"dockerfw accept web\"", `by the policy (accept ssh)`},
		{"a connection limit instead of a rate", "limit rate 90/minute burst 5 packets accept", "ct count 3 accept", `by the text`},
		{"another rate", "limit rate 90/minute burst 5 packets accept", "limit rate 91/minute burst 5 packets accept", `by the policy (accept web)`},
		{"another burst", "limit rate 90/minute burst 5 packets accept", "limit rate 90/minute burst 6 packets accept", `by the policy (accept web)`},
		{"above instead of up to a rate", "limit rate 90/minute burst 5 packets accept", "limit rate over 90/minute burst 5 packets accept", `by the policy (accept web)`},
		{"up to instead of above a rate", "ip saddr limit rate over 20/second", "ip saddr limit rate 20/second", `by the policy (deny flood)`},
		{"a rate of all sources", "update @flood.rate { ip saddr limit rate over 20/second burst 5 packets }", "limit rate over 20/second burst 5 packets", `by the policy (deny flood)`},
		{"a rate of each destination", "{ ip saddr limit", "{ ip daddr limit", `by the policy (deny flood)`},
		{"another number of connections", "{ ip saddr ct count 3 }", "{ ip saddr ct count 4 }", `by the policy (accept ssh)`},
		{"connections of a network", "{ ip saddr ct count 3 }", "{ ip saddr & 255.255.255.0 ct count 3 }", `by the policy (accept ssh)`},
		{"counts of two rules in one set", "add @ssh.connections {", "add @flood.rate {", `in set flood.rate`},
		{"an accept instead of a return", "packets return comment \"dockerfw accept web\"", "packets accept comment \"dockerfw accept web\"", `is "docker" by the policy (accept web) and "accept" by the text (dockerfw accept web)`},
		{"a return instead of an accept", "packets accept comment \"dockerfw accept web\"", "packets return comment \"dockerfw accept web\"", `is "accept" by the policy (accept web) and "docker" by the text (no rule)`},
		{"a reject instead of a drop", "ip saddr != @office.3f9a61c2 drop", "ip saddr != @office.3f9a61c2 reject with icmpx admin-prohibited", `and "reject icmp-admin-prohibited" by the text`},
		{"a jump for another interface", "iifname \"eth0\" jump dockerfw-in", "iifname \"eth1\" jump dockerfw-in", `by the text (no rule)`},
		{"no protection of a port", "{ 22, 443 }", "{ 22, 444 }", `in eth0`},
		{"no chain input", correctTable[strings.Index(correctTable, "\tchain input"):strings.Index(correctTable, "\tchain dockerfw-in")], "", `is "drop" by the policy (deny banned) and "docker" by the text (no rule)`},
		{"a policy that drops", "hook forward priority filter - 10; policy accept", "hook forward priority filter - 10; policy drop", `chain forward must be of type filter at the hook forward with priority -10 and policy accept`},
		{"another priority", "hook input priority filter - 10", "hook input priority filter + 10", `chain input must be of type filter at the hook input with priority -10 and policy accept`},
		{"another base chain", "\tchain input {", "\tchain output {\n\t\ttype filter hook output priority filter; policy drop;\n\t}\n\tchain input {", `chain output is at the hook output, where the policy has no rules`},
		{"a table that the kernel ignores", "table inet dockerfw {\n", "table inet dockerfw {\n\tflags dormant\n", "table inet dockerfw is dormant"},
		{"no chain forward", "\tchain forward {", "\tchain forwards {", "chain forward is missing"},
		{"a rule without a comment", " comment \"dockerfw deny banned\"", "", `a rule without the comment of a rule of the policy: ip saddr @banned drop`},
		{"phases in the wrong order", "drop comment \"dockerfw deny banned\"", "drop comment \"dockerfw default\"", `line 67: chain dockerfw-in: "dockerfw default" of phase default is before "dockerfw deny flood" of phase deny`},
		{"a jump to a chain that is missing", "jump dockerfw-in", "jump dockerfw-out", "Table inet dockerfw has no chain dockerfw-out."},
		{"a set that is missing", "@office.3f9a61c2", "@office", "Table inet dockerfw has no set office."},
		{"a text that loads only once", "flush table inet dockerfw\n", "", "loading again changes the table"},
		{"a text that makes another table", "table inet dockerfw\nflush", "table inet other\ntable inet dockerfw\nflush", "the text must have the table inet dockerfw and no other"},
		{"overlapping elements", "192.0.2.0/24", "192.0.2.0/24, 192.0.2.9", "Two elements of set office.3f9a61c2 overlap."},
		{"a removal that removes nothing", "delete table inet dockerfw\n", "flush table inet dockerfw\n", "removing from a host without the table leaves one"},
		{"a removal that needs the table", correctRemoval, "delete table inet dockerfw\n", "removing from a host without the table: "},
		{"an unknown statement", "ct state established,related accept", "ct state established,related something", `"something" is not known`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := correctTable + "\x00" + correctRemoval
			if !strings.Contains(text, c.old) {
				t.Fatalf("the text does not contain %q", c.old)
			}
			text, removal, _ := strings.Cut(strings.ReplaceAll(text, c.old, c.new), "\x00")
			table, err := proof.LoadNFT([]byte(text), []byte(removal))
			if err == nil {
				sets := netfilter.NewNFTSets(table)
				for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
					if err == nil {
						err = proof.ProveNFT(policy, nil, proof.LoadedNFT{Family: f, Table: table, Sets: sets})
					}
				}
			}
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
