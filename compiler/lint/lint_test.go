package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"pgregory.net/rapid"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/compiler/semantics"
	"github.com/dockerfw/dockerfw/parser/diag"
)

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func TestAnOpenPortIsNotedWithItsEnd(t *testing.T) {
	result, diags := compile(t, `
host { external_interfaces = ["eth0"] }
input {
  default { action = "return" }
}
accept "fair" {
  protocol        = "tcp"
  published_ports = [8080]
  expires         = "2027-01-31"
}
`)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	notes := result.Lint()
	if len(notes) != 1 || notes[0].Detail != `8080/tcp (accept "fair"), until 2027-01-31.` {
		t.Errorf("%v", notes)
	}
}

func compile(t fataler, policy string) (*driver.Result, hcl.Diagnostics) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lint-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "p.hcl")
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	if diags.HasErrors() {
		t.Fatal(diags, "\n"+policy)
	}
	return result, diags
}

// found writes findings as LINE CODE SUMMARY (related lines).
func found(diags hcl.Diagnostics) []string {
	var out []string
	for _, d := range diags {
		info := diag.InfoOf(d)
		if info.Code == diag.CodeWorldOpen || info.Code == diag.CodeProxyOpen {
			continue // for nearly every policy
		}
		text := fmt.Sprintf("%d %s %s", d.Subject.Start.Line, info.Code, d.Summary)
		for _, r := range info.Related {
			text += fmt.Sprintf(" (%d)", r.Range.Start.Line)
		}
		out = append(out, text)
	}
	return out
}

func TestFindings(t *testing.T) {
	const host = "host {\n  external_interfaces = [\"eth0\"]\n}\n" // three lines
	for _, c := range []struct {
		name, policy string
		want         []string
	}{
		{"nothing", host + `
accept "https" {
  protocol        = "tcp"
  published_ports = [443, 8443]
}
accept "dns" {
  protocol        = ["tcp", "udp"]
  published_ports = [53]
  source          = ["192.0.2.0/24", "2001:db8::/32"]
}`, nil},
		{"an accept that an earlier one covers", host + `
accept "all" {
  protocol        = "tcp"
  published_ports = ["1-1000"]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}`, []string{`9 covered accept "https" is unreachable (5)`}},
		{"two accepts together cover a third", host + `
accept "low" {
  protocol        = "tcp"
  published_ports = ["1-500"]
}
accept "high" {
  protocol        = "tcp"
  published_ports = ["501-1000"]
}
accept "both" {
  protocol        = "tcp"
  published_ports = ["400-600"]
}`, []string{`13 covered accept "both" is unreachable (5) (9)`}},
		// Of forwarded packets the first deny matches all; of those for docker-proxy it has no match.
		{"a deny that only packets for docker-proxy reach", host + `
# dockerfw:ignore unguarded the second deny is for docker-proxy
deny "inside" {
  protocol        = "tcp"
  container_ports = [5432]
}
deny "outside" {
  protocol        = "tcp"
  published_ports = [5432]
  container_ports = [5432]
}
default { allow = ["192.0.2.0/24"] }`, nil},
		{"one port of two", host + `
accept "web" {
  protocol        = "tcp"
  published_ports = [80, 443]
}
accept "more" {
  protocol = "tcp"
  published_ports = [
    443,
    8443,
  ]
}`, []string{`12 covered published port 443 of accept "more" has no effect`}},
		{"an accept whose packets are all denied", host + `
accept "client" {
  protocol        = "tcp"
  published_ports = [443]
  source          = ["192.0.2.7"]
}
deny "net" {
  source = ["192.0.2.0/24"]
}`, []string{`5 denied accept "client" is unreachable: all of its packets are denied (10)`}},
		{"a source that is excluded again", host + `
accept "nobody" {
  protocol        = "tcp"
  published_ports = [443]
  source          = ["192.0.2.7"]
  source_not      = ["192.0.2.0/24"]
}`, []string{`5 never-matches accept "nobody" never matches`}},
		{"a source that is a set without entries, which is the warning empty-set", host + `
ipset "nobody" {}
accept "nobody" {
  protocol        = "tcp"
  published_ports = [443]
  source          = [ipset.nobody]
}`, nil},
		{"a set without entries beside an address that is excluded again", host + `
ipset "nobody" {}
accept "nobody" {
  protocol        = "tcp"
  published_ports = [443]
  source          = [ipset.nobody, "192.0.2.7"]
  source_not      = ["192.0.2.0/24"]
}`, []string{`6 never-matches accept "nobody" never matches`}},
		{"a deny of what the default drops", host + `
deny "bad" {
  source = ["203.0.113.0/24"]
}`, []string{`5 redundant deny "bad" is redundant`}},
		{"a deny of clients that an accept would admit", host + `
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}
deny "bad" {
  source = ["203.0.113.0/24"]
}`, nil},
		{"a deny that logs what the default drops", host + `
deny "bad" {
  source = ["203.0.113.0/24"]
  log {}
}`, nil},
		{"an accept of clients that the default allows", host + `
ipset "clients" {
  entries = ["192.0.2.0/24"]
}
accept "admin" {
  protocol        = "tcp"
  published_ports = [22]
  source          = ["192.0.2.7"]
}
default {
  allow = [ipset.clients]
}`, []string{`8 allowed-anyway accept "admin" has no effect: default.allow already admits its clients`}},
		{"an accept wider than the default", host + `
ipset "clients" {
  entries = ["192.0.2.0/24"]
}
accept "admin" {
  protocol        = "tcp"
  published_ports = [22]
  source          = ["192.0.2.7", "198.51.100.1"]
}
default {
  allow = [ipset.clients]
}`, nil},
		{"sets in sets", host + `
ipset "small" {
  entries = ["192.0.2.7", "2001:db8::1"]
}
ipset "large" {
  entries = ["192.0.2.0/24", "2001:db8::/32"]
}
default {
  allow = [ipset.small, ipset.large, "192.0.2.9"]
}`, []string{`12 overlapping-sets ipset.small is contained in ipset.large (12)`, `12 overlapping-sets 192.0.2.9 is contained in ipset.large (12)`}},
		{"sets that only overlap", host + `
ipset "a" {
  entries = ["192.0.2.0/24", "198.51.100.0/24"]
}
ipset "b" {
  entries = ["192.0.2.0/24", "203.0.113.0/24"]
}
default {
  allow = [ipset.a, ipset.b]
}`, []string{`12 overlapping-sets ipset.b and ipset.a overlap (12)`}},
		{"names that nothing uses", host + `
variable "used" {
  default = 443
}
variable "unused" {
  type    = number
  default = 1

  validation {
    condition     = var.unused > 0
    error_message = "It has to be positive."
  }
}
locals {
  a = local.b
  b = 80
}
accept "https" {
  protocol        = "tcp"
  published_ports = [var.used]
}`, []string{`8 unused-name var.unused is not used`, `18 unused-name local.a is not used`}},
		{"a rule that has an effect on one host only", `
host "web1" {
  external_interfaces = ["eth0"]
}
host "web2" {
  external_interfaces = ["eth0"]
}
accept "all" {
  hosts           = ["web1"]
  protocol        = "tcp"
  published_ports = ["1-1000"]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}`, nil},
		{"a rule without effect on both hosts", `
host "web1" {
  external_interfaces = ["eth0"]
}
host "web2" {
  external_interfaces = ["eth1"]
}
accept "all" {
  protocol        = "tcp"
  published_ports = ["1-1000"]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}`, []string{`12 covered accept "https" is unreachable (8)`}},
		{"a rule that has an effect in one family only", host + `
accept "v4" {
  protocol        = "tcp"
  published_ports = ["1-1000"]
  source          = ["0.0.0.0/0"]
}
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}`, nil},
		{"egress", host + `
egress {
  deny "lan" {
    destination = ["10.0.0.0/8"]
  }
  deny "host" {
    destination = ["10.0.0.1"]
  }
}`, []string{`9 covered deny "host" is unreachable (6)`}},
		{"comments that suppress warnings", host + `
deny "bad" { # dockerfw:ignore redundant kept for the audit
  source = ["203.0.113.0/24"]
}
// dockerfw:ignore redundant this one too
deny "worse" {
  source = ["203.0.113.0/25"]
}
# dockerfw:ignore covered not the right class
# dockerfw:ignore redundant
deny "worst" {
  source = ["203.0.113.128/25"]
}`, []string{
			`9 covered deny "worse" is unreachable (5)`,
			`13 ignore dockerfw:ignore without a reason`,
			`8 ignore unused dockerfw:ignore`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			result, _ := compile(t, c.policy)
			if diff := cmp.Diff(c.want, found(result.Lint())); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// policyText draws policies whose rules shadow and repeat each other.
func policyText(t *rapid.T) (text string, names []string) {
	var b strings.Builder
	b.WriteString("host {\n  external_interfaces = [\"eth0\"]\n}\n")
	pick := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, "value") }
	for i := range rapid.IntRange(1, 5).Draw(t, "rules") {
		name := fmt.Sprintf("r%d", i)
		names = append(names, name)
		kind := pick("deny", "accept")
		fmt.Fprintf(&b, "%s %q {\n", kind, name)
		if rapid.Bool().Draw(t, "source") {
			fmt.Fprintf(&b, "  source = [%s]\n", pick(`"192.0.2.0/24"`, `"192.0.2.0/25"`, `"192.0.2.128/25"`, `"192.0.2.7", "2001:db8::1"`, `"0.0.0.0/0", "::/0"`))
		}
		if rapid.Bool().Draw(t, "ports") {
			fmt.Fprintf(&b, "  protocol = %s\n  published_ports = [%s]\n", pick(`"tcp"`, `["tcp", "udp"]`), pick(`443`, `"400-500"`, `80, 443`, `"1-450"`, `"451-1000"`))
		}
		b.WriteString("}\n")
	}
	if rapid.Bool().Draw(t, "default") {
		fmt.Fprintf(&b, "default {\n  allow = [%s]\n}\n", pick(`"192.0.2.0/24"`, `"0.0.0.0/0"`, `"2001:db8::/32"`))
	}
	return b.String(), names
}

func without(policy, name string) string {
	i := strings.Index(policy, fmt.Sprintf("deny %q", name))
	if i < 0 {
		i = strings.Index(policy, fmt.Sprintf("accept %q", name))
	}
	j := i + strings.Index(policy[i:], "\n}\n") + 3
	return policy[:i] + policy[j:]
}

// A block that is reported as having no effect can be removed, and no other can.
func TestExactlyTheBlocksWithoutEffectAreReported(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, names := policyText(t)
		result, _ := compile(t, text)
		reported := map[string]diag.Code{}
		for _, d := range result.Lint() {
			for _, name := range names {
				if diag.InfoOf(d).Code == diag.CodePartlyDenied {
					continue
				}
				if strings.HasPrefix(d.Summary, fmt.Sprintf("deny %q", name)) || strings.HasPrefix(d.Summary, fmt.Sprintf("accept %q", name)) {
					reported[name] = diag.InfoOf(d).Code
				}
			}
		}
		name := rapid.SampledFrom(names).Draw(t, "block")
		shorter, _ := compile(t, without(text, name))
		same := true
		for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
			space, err := packet.New(program(result, f), program(shorter, f))
			if err != nil {
				t.Fatal(err)
			}
			c, err := packet.Compare(space.Programs()[0], space.Programs()[1], 10)
			if err != nil {
				t.Fatal(err)
			}
			same = same && c.Changed.IsEmpty()
			if reported[name] == diag.CodeAllowedAnyway {
				for _, change := range c.Changes {
					if change.New.Kind != packet.Docker {
						t.Fatalf("%s is reported as allowed-anyway, and without it %s → %s\n%s", name, change.Old, change.New, text)
					}
				}
			}
		}
		noEffect := reported[name] != 0 && reported[name] != diag.CodeAllowedAnyway
		if noEffect != same {
			t.Fatalf("%s: reported as %s; without it the same: %t\n%s", name, reported[name], same, text)
		}
	})
}

func program(r *driver.Result, f ir.Family) *packet.Program {
	return semantics.Program(r.Hosts[0].Policy, f, nil)
}

// The rules of a policy are evaluated once, not pair by pair: ten times the rules take
// far less than a hundred times as long.
func BenchmarkRules(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			var text strings.Builder
			text.WriteString("host {\n  external_interfaces = [\"eth0\"]\n  families = [\"ipv4\"]\n}\n")
			for i := range n {
				fmt.Fprintf(&text, "%s \"r%d\" {\n  source = [\"%d.%d.%d.0/24\"]\n  protocol = \"tcp\"\n  published_ports = [%d]\n}\n",
					[]string{"accept", "accept", "deny"}[i%3], i, 11+i*7%200, i*13%256, i*29%256, 1+i*37%60000)
			}
			result, _ := compile(b, text.String())
			for b.Loop() {
				result.Lint()
			}
		})
	}
}
