package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fleet returns a policy with the given numbers of hosts and rules.
func fleet(hosts, rules int) string {
	var b strings.Builder
	for i := range hosts {
		fmt.Fprintf(&b, "host \"web%d\" {\n  external_interfaces = [\"eth0\"]\n  variables = { number = %d }\n}\n", i, i)
	}
	b.WriteString("variable \"number\" {\n  type = number\n}\n")
	for i := range 10 {
		fmt.Fprintf(&b, "ipset \"s%d\" {\n  entries = [\"192.0.2.%d\", \"10.%d.0.0/16\", \"2001:db8:%d::/48\"]\n}\n", i, i, i, i)
	}
	for i := range rules {
		fmt.Fprintf(&b, "accept \"r%d\" {\n  protocol        = \"tcp\"\n  published_ports = [%d]\n  source          = [ipset.s%d]\n}\n", i, 1000+i, i%10)
	}
	return b.String()
}

// BenchmarkFleet compiles one policy of 200 rules for 1,000 hosts.
func BenchmarkFleet(b *testing.B) {
	path := filepath.Join(b.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(fleet(1000, 200)), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		result, diags := Policy(path, Options{})
		if diags.HasErrors() || len(result.Hosts) != 1000 {
			b.Fatal(diags)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "hosts/s")
}

// BenchmarkMillionAddresses compiles a policy with a list of a million addresses.
func BenchmarkMillionAddresses(b *testing.B) {
	dir := b.TempDir()
	var list strings.Builder
	for i := range 1_000_000 {
		// Only odd addresses, so that none are merged.
		fmt.Fprintf(&list, "%d.%d.%d.%d\n", 11+i>>23, i>>15&255, i>>7&255, i<<1&255|1)
	}
	policy := "host {\n  external_interfaces = [\"eth0\"]\n}\nipset \"big\" {\n  files = [\"big.txt\"]\n}\ndeny \"big\" {\n  source = [ipset.big]\n}\n"
	for name, text := range map[string]string{"policy.hcl": policy, "big.txt": list.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, diags := Policy(filepath.Join(dir, "policy.hcl"), Options{}); diags.HasErrors() {
			b.Fatal(diags)
		}
	}
}
