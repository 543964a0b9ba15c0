package verify

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
)

const tablePolicy = `
host {
  external_interfaces = ["eth0"]
  target              = "nftables"
}
ipset "clients" { entries = ["192.0.2.10", "198.51.100.0/24"] }
ipset "bans" { managed = false }
deny "banned" { source = [ipset.bans] }
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
default { allow = [ipset.clients] }
`

// Each fault is a change of what nft lists, as replacements; the wanted failures are those of verify.
func TestEachFaultOfATableIsReported(t *testing.T) {
	dir := t.TempDir()
	policy := write(t, filepath.Join(dir, "policy.hcl"), tablePolicy)
	result, diags := driver.Policy(policy, driver.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	compiled := filepath.Join(dir, "compiled")
	if _, err := result.Folder().Write(compiled); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(compiled, "dockerfw.nft"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(file), "flush table inet dockerfw\n")
	const hook = "type filter hook forward priority filter - 10; policy accept;"
	in := func(chain, rule string) []string {
		return []string{"\tchain " + chain + " {\n", "\tchain " + chain + " {\n\t\t" + rule + "\n"}
	}
	for _, c := range []struct {
		name    string
		replace []string
		want    []string
	}{
		{"nothing", nil, nil},
		{"another policy of the chain", []string{hook, strings.Replace(hook, "accept", "drop", 1)}, []string{"rules: chain forward has type filter, hook forward, priority -10 and policy drop instead of type filter, hook forward, priority -10 and policy accept"}},
		{"no hook", []string{hook + "\n", "\n"}, []string{"rules: chain forward has no hook instead of", "IPv4 FORWARD: packets such as ", "IPv6 FORWARD: packets such as "}},
		{"a rule of another version", []string{"proto-dst 443 accept", "proto-dst 444 accept"}, []string{`rules: chain dockerfw-in lacks 1 rule (ct status dnat`}},
		{"a foreign rule", in("dockerfw-in", "tcp dport 22 accept"), []string{"foreign: table inet dockerfw contains what was not compiled: in chain dockerfw-in the rule tcp dport 22 accept"}},
		{"an anonymous set of which six elements are shown", in("dockerfw-in", "tcp dport { 1, 2, 3, 4, 5, 6, 7 } accept"), []string{"foreign: "}},
		{"out of order", []string{`comment "dockerfw deny banned"`, `comment "dockerfw default"`}, []string{"rules: ", "order: chain dockerfw-in: "}},
		{"no such comment", in("forward", `drop comment "dockerfw mine yours"`), []string{"rules: chain forward has 1 rule of another version", "order: chain forward: drop"}},
		{"a foreign chain", []string{"\tchain forward {", "\tchain mine {\n\t}\n\n\tchain forward {"}, []string{"foreign: table inet dockerfw contains what was not compiled: chain mine with 0 rules"}},
		{"a foreign set", []string{"\tchain forward {", "\tset mine {\n\t\ttype ipv4_addr\n\t}\n\n\tchain forward {"}, []string{"foreign: table inet dockerfw contains what was not compiled: set mine"}},
		{"a missing entry", []string{"192.0.2.10, 198.51.100.0/24", "198.51.100.0/24"}, []string{"sets: clients: 1 missing entry: 192.0.2.10"}},
		{"an unexpected entry", []string{"192.0.2.10, ", "192.0.2.10, 192.0.2.12, "}, []string{"sets: clients: 1 unexpected entry: 192.0.2.12"}},
		{"other flags", []string{"\t\ttype ipv4_addr\n\t\tflags interval,timeout", "\t\ttype ipv4_addr\n\t\tflags timeout"}, []string{"sets: bans is of type ipv4_addr with flags timeout instead of ipv4_addr with interval,timeout"}},
		{"a dormant table", []string{"table inet dockerfw {\n", "table inet dockerfw {\n\tflags dormant\n\n"}, []string{"rules: table inet dockerfw is dormant", "IPv4 FORWARD: packets such as ", "IPv4 INPUT: packets never reach chain input of table inet dockerfw", "IPv6 FORWARD: ", "IPv6 INPUT: "}},
		{"a foreign table that drops everything", []string{"table inet dockerfw {\n", "table inet mine {\n\tchain f {\n\t\ttype filter hook forward priority raw; policy drop;\n\t}\n}\ntable inet dockerfw {\n"}, []string{`IPv4 FORWARD: accept "https" has no effect: table nft inet mine: policy drop of chain f`, "IPv6 FORWARD: "}},
		{"a foreign table that accepts everything", []string{"table inet dockerfw {\n", "table inet mine {\n\tchain f {\n\t\ttype filter hook forward priority raw; policy accept;\n\t\taccept\n\t}\n}\ntable inet dockerfw {\n"}, nil},
		{"packets that are not tracked", []string{"table inet dockerfw {\n", "table inet mine {\n\tchain f {\n\t\ttype filter hook prerouting priority raw; policy accept;\n\t\ttcp dport 443 notrack\n\t}\n}\ntable inet dockerfw {\n"}, []string{"IPv4 FORWARD: the raw table exempts packets from connection tracking", "IPv6 FORWARD: "}},
	} {
		text := table
		if c.replace != nil {
			text = strings.Replace(table, c.replace[0], c.replace[1], 1)
			if text == table {
				t.Fatalf("%s: %q is not in the table", c.name, c.replace[0])
			}
		}
		host := write(t, filepath.Join(t.TempDir(), "host.txt"), text)
		got, err := Host(open(t, compiled), open(t, host))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var faults []string
		for _, f := range facts.Faults(got) {
			faults = append(faults, f.Name+": "+f.Text)
		}
		if len(faults) != len(c.want) {
			t.Errorf("%s: got\n%s\nwant %q", c.name, strings.Join(faults, "\n"), c.want)
			continue
		}
		for i := range faults {
			if !strings.HasPrefix(faults[i], c.want[i]) {
				t.Errorf("%s: got %q, want %q", c.name, faults[i], c.want[i])
			}
		}
	}
}
