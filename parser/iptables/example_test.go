package iptables_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/dockerfw/dockerfw/parser/iptables"
)

// What iptables-save printed becomes typed options with their positions.
func ExampleParseRules() {
	saved := `*filter
:DOCKER-USER - [0:0]
-A DOCKER-USER -i eth0 -p tcp -m conntrack --ctorigdstport 443 --ctdir ORIGINAL -m comment --comment "dockerfw accept https" -j ACCEPT
COMMIT
`
	file, diags := iptables.ParseRules(strings.NewReader(saved), "rules.v4")
	if diags.HasErrors() {
		fmt.Println(diags)
		return
	}
	rule := file.Blocks[0].Commands[1].Rule
	fmt.Println(rule.Range.Start.Line, rule.Chain, rule.Option("-i").Value(), rule.Jump)
	fmt.Println(rule.Matches[0].Name, rule.Matches[0].Option("--ctorigdstport").Value())
	// Output:
	// 3 DOCKER-USER eth0 ACCEPT
	// conntrack 443
}

// Loading is simulated: a chain line empties a chain that exists, and the rules of all
// other chains stay.
func ExampleRuleset_Load() {
	host := iptables.NewRuleset(iptables.IPv4)
	for _, text := range []string{
		`*filter
:FORWARD DROP [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A DOCKER-USER -j RETURN
COMMIT
`, `*filter
:DOCKER-USER - [0:0]
-A DOCKER-USER -s 192.0.2.1 -p tcp --dport 80 -j DROP
COMMIT
`,
	} {
		file, diags := iptables.ParseRules(strings.NewReader(text), "rules")
		diags = append(diags, host.Load(file)...)
		if diags.HasErrors() {
			fmt.Println(diags)
			return
		}
	}
	if err := host.Print(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// *filter
	// :INPUT ACCEPT [0:0]
	// :FORWARD DROP [0:0]
	// :OUTPUT ACCEPT [0:0]
	// :DOCKER-USER - [0:0]
	// -A FORWARD -j DOCKER-USER
	// -A DOCKER-USER -s 192.0.2.1/32 -p tcp -m tcp --dport 80 -j DROP
	// COMMIT
}

// A block of a table is applied completely or not at all.
func ExampleRuleset_Load_failure() {
	host := iptables.NewRuleset(iptables.IPv4)
	file, _ := iptables.ParseRules(strings.NewReader("*filter\n:OWN - [0:0]\n-A OWN -j MISSING\nCOMMIT\n"), "rules")
	for _, d := range host.Load(file) {
		fmt.Printf("line %d: %s. %s\n", d.Subject.Start.Line, d.Summary, d.Detail)
	}
	fmt.Println("tables:", len(host.Tables))
	// Output:
	// line 3: No such target. "MISSING" is neither a chain in this table nor a target. Declare the chain with a line `:MISSING - [0:0]`. Nothing in this block of table "filter" is applied, and nothing after it.
	// tables: 0
}

// A new set is filled beside the old one and swapped in.
func ExampleSets_Load() {
	file, diags := iptables.ParseSets(strings.NewReader(`create office hash:net family inet -exist
create office-new hash:net family inet
add office-new 192.0.2.0/24
add office-new 198.51.100.7
swap office-new office
destroy office-new
`), "ipset.restore")
	var host iptables.Sets
	diags = append(diags, host.Load(file)...)
	if diags.HasErrors() {
		fmt.Println(diags)
		return
	}
	fmt.Println(host.Names())
	for entry := range host.Set("office").Entries() {
		fmt.Println(entry)
	}
	// Output:
	// [office]
	// 192.0.2.0/24
	// 198.51.100.7
}

// Rules that iptables treats as equal have the same canonical text.
func ExampleRule_Canonical() {
	file, _ := iptables.ParseRules(strings.NewReader("*filter\n-A FORWARD -p 6 --dport 80:80 -m limit --limit 60/min -s 192.0.2.1 -j REJECT\nCOMMIT\n"), "rules")
	fmt.Println(file.Blocks[0].Commands[0].Rule.Canonical(iptables.IPv4))
	// Output: -s 192.0.2.1/32 -p tcp -m tcp --dport 80 -m limit --limit 1/sec -j REJECT --reject-with icmp-port-unreachable
}
