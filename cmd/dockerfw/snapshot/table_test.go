package snapshot

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

func nftPolicy(t *testing.T, attributes, blocks string) *Host {
	t.Helper()
	return open(t, write(t, filepath.Join(t.TempDir(), "policy.hcl"), "host {\n  external_interfaces = [\"eth0\", \"wg+\"]\n  target = \"nftables\"\n"+attributes+"}\n"+blocks))
}

// A table is for both families; which of them a policy compiles is in its rules.
func TestATableHasTheFamiliesOfItsPolicy(t *testing.T) {
	for attributes, want := range map[string][]ir.Family{
		"":                        {ir.IPv4, ir.IPv6},
		"families = [\"ipv4\"]\n": {ir.IPv4},
		"families = [\"ipv6\"]\n": {ir.IPv6},
		"families = [\"ipv6\"]\nproxy_ports = [80]\n": {ir.IPv6},
	} {
		h := nftPolicy(t, attributes, "accept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [443]\n}\ndefault {}\n")
		if diff := cmp.Diff(want, h.Families()); diff != "" {
			t.Errorf("%q: families (-want +got):\n%s", attributes, diff)
		}
	}
}

// Without the policy the interfaces are read from the rules, which have them once, in the base chain.
func TestInterfacesOfATableAreThoseOfThePolicy(t *testing.T) {
	for _, attributes := range []string{"", "container_interfaces = [\"docker0\"]\n"} {
		h := nftPolicy(t, attributes, "deny \"a\" {\n  source = [\"192.0.2.1\"]\n  interfaces = [\"eth1\"]\n}\ndefault {}\n")
		external, container := h.Interfaces(ir.IPv4)
		h.External, h.Container = nil, nil
		gotExternal, gotContainer := h.Interfaces(ir.IPv4)
		if diff := cmp.Diff([][]string{external, container}, [][]string{gotExternal, gotContainer}); diff != "" {
			t.Errorf("%q: interfaces (-policy +rules):\n%s", attributes, diff)
		}
	}
}

// Sets of the table are read with the names of the policy. Of two with one name the one counts that
// a rule uses, and those of limits are no sets of the policy.
func TestSetsOfATableHaveTheNamesOfThePolicy(t *testing.T) {
	text := "table inet dockerfw {\n" +
		"\tset clients.00000000 {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { 10.0.0.0/8 }\n\t}\n\n" +
		"\tset clients.3f9a61c2 {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\telements = { 192.0.2.10-192.0.2.12, 198.51.100.0/24 }\n\t}\n\n" +
		"\tset all-v6.11111111 {\n\t\ttype ipv6_addr\n\t\tflags interval\n\t\telements = { ::/0 }\n\t}\n\n" +
		"\tset web.rate {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tflags dynamic,timeout\n\t\ttimeout 1m\n\t}\n\n" +
		"\tchain forward {\n\t\ttype filter hook forward priority filter - 10; policy accept;\n\t\tip saddr != @clients.3f9a61c2 drop comment \"dockerfw default\"\n\t}\n}\n"
	h := open(t, write(t, filepath.Join(t.TempDir(), "host.txt"), text))
	var got []string
	for _, name := range h.OwnSets().Names() {
		var entries []string
		for e := range h.OwnSets().Set(name).Entries() {
			entries = append(entries, e.String())
		}
		got = append(got, fmt.Sprintf("%s %s: %s", name, h.OwnSets().Set(name).Family, strings.Join(entries, " ")))
	}
	want := []string{"all-v6 inet6: ::/1 8000::/1", "clients inet: 192.0.2.10/31 192.0.2.12 198.51.100.0/24"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sets (-want +got):\n%s", diff)
	}
	if rule := h.Program(ir.IPv4, "forward").Chains[0].Rules[0]; !strings.Contains(fmt.Sprint(rule.Matches), "clients") || strings.Contains(fmt.Sprint(rule.Matches), "3f9a61c2") {
		t.Errorf("the rule matches %v", rule.Matches)
	}
}

// Loading for one target removes what the other has loaded, and foreign rules stay.
func TestLoadingOneTargetRemovesTheOther(t *testing.T) {
	saved := open(t, func() string {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "rules.v4"), head+":DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\n-A FORWARD -s 10.0.0.1/32 -j DROP\n-A DOCKER-USER "+ours+"\nCOMMIT\n")
		return dir
	}())
	tables := nftPolicy(t, "", "default {}\n")
	loaded, err := tables.LoadedOnto(saved)
	if err != nil {
		t.Fatal(err)
	}
	if !loaded.NFTables() || len(loaded.Filter(ir.IPv4).Chain("DOCKER-USER").Rules) != 0 || len(loaded.Filter(ir.IPv4).Chain("FORWARD").Rules) == 0 {
		t.Errorf("with the table loaded: table %t, DOCKER-USER %v, FORWARD %v", loaded.NFTables(), loaded.Filter(ir.IPv4).Chain("DOCKER-USER").Rules, loaded.Filter(ir.IPv4).Chain("FORWARD").Rules)
	}
	back, diags, err := Open(write(t, filepath.Join(t.TempDir(), "policy.hcl"), policy("")), driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	if loaded, err = back.Hosts[0].LoadedOnto(loaded); err != nil {
		t.Fatal(err)
	}
	if loaded.NFTables() || len(loaded.Filter(ir.IPv4).Chain("DOCKER-USER").Rules) == 0 {
		t.Errorf("back at iptables: table %t, DOCKER-USER %v", loaded.NFTables(), loaded.Filter(ir.IPv4).Chain("DOCKER-USER").Rules)
	}
}
