package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
		if info.Code == diag.CodeWorldOpen {
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
accept "friend" {
  protocol        = "tcp"
  published_ports = [443]
  source          = ["192.0.2.7"]
}
deny "net" {
  source = ["192.0.2.0/24"]
}`, []string{`5 denied accept "friend" is unreachable: all of its packets are denied (10)`}},
		{"a source that is excluded again", host + `
accept "nobody" {
  protocol        = "tcp"
  published_ports = [443]
  source          = ["192.0.2.7"]
  source_not      = ["192.0.2.0/24"]
}`, []string{`5 never-matches accept "nobody" never matches`}},
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
ipset "friends" {
  entries = ["192.0.2.0/24"]
}
accept "admin" {
  protocol        = "tcp"
  published_ports = [22]
  source          = ["192.0.2.7"]
}
default {
  allow = [ipset.friends]
}`, []string{`8 allowed-anyway accept "admin" has no effect: default.allow already admits its clients`}},
		{"an accept wider than the default", host + `
ipset "friends" {
  entries = ["192.0.2.0/24"]
}
accept "admin" {
  protocol        = "tcp"
  published_ports = [22]
  source          = ["192.0.2.7", "198.51.100.1"]
}
default {
  allow = [ipset.friends]
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

// codes are the classes of all warnings and notes of a policy, world-open aside, and
// the text of each.
func codes(t *testing.T, policy string) (out []string, text string) {
	t.Helper()
	result, diags := compile(t, policy)
	for _, d := range append(diags, result.Lint()...) {
		if code := diag.InfoOf(d).Code; code != diag.CodeWorldOpen {
			out = append(out, code.String())
		}
		text += d.Summary + ": " + d.Detail + "\n"
	}
	return out, text
}

// Doing what a warning proposes removes the warning. Several lines are alternatives.
func TestTheRemediesOfWarningsWork(t *testing.T) {
	const host = "host {\n  external_interfaces = [\"eth0\"]\n}\n"
	const web = "accept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [443, 5433]\n  source = [\"192.0.2.0/23\"]\n}\n"
	const office = "accept \"office\" {\n  source = [\"203.0.113.9\", \"198.51.100.1\"]\n  protocol = \"tcp\"\n  published_ports = [22]\n}\n"
	const country = "deny \"country\" {\n  source = [\"203.0.113.0/24\"]\n}\n"
	const admin = "accept \"admin\" {\n  source = [\"192.0.2.7\"]\n  protocol = \"tcp\"\n  published_ports = [22]\n}\n"
	type remedy struct{ advice, from, to string }
	for _, c := range []struct {
		name, policy, code string
		remedies           []remedy
	}{
		{"an office inside a blocked country", host + country + office, "partly-denied", []remedy{
			{`deny "country" refuses 203.0.113.9. To admit these clients, add source_not = ["203.0.113.9"] to deny "country"`, `["203.0.113.0/24"]`, "[\"203.0.113.0/24\"]\n  source_not = [\"203.0.113.9\"]"},
		}},
		{"beside another exception", host + strings.Replace(country, "\n}", "\n  source_not = [\"203.0.113.77\"]\n}", 1) + office, "partly-denied", []remedy{
			{`add "203.0.113.9" to source_not of deny "country"`, `["203.0.113.77"]`, `["203.0.113.77", "203.0.113.9"]`},
		}},
		{"everyone outside a country is refused", host + strings.Replace(country, "source =", "source_not =", 1) + office, "partly-denied", []remedy{
			{`add "198.51.100.1" to source_not of deny "country"`, `["203.0.113.0/24"]`, `["203.0.113.0/24", "198.51.100.1"]`},
		}},
		{"an accept whose packets are all denied", host + country + strings.Replace(office, `, "198.51.100.1"`, "", 1), "denied", []remedy{
			{`add source_not = ["203.0.113.9"] to deny "country"`, `["203.0.113.0/24"]`, "[\"203.0.113.0/24\"]\n  source_not = [\"203.0.113.9\"]"},
			{`remove the accept`, strings.Replace(office, `, "198.51.100.1"`, "", 1), ""},
		}},
		{"a port that is denied to everyone", host + "deny \"ssh\" {\n  protocol = \"tcp\"\n  published_ports = [22]\n}\n" + office, "denied", []remedy{
			{`narrow or remove the deny`, "deny \"ssh\" {\n  protocol = \"tcp\"\n  published_ports = [22]\n}\n", ""},
			{`Remove the accept`, office, ""},
		}},
		{"a deny of container ports", host + "deny \"pg\" {\n  source = [\"192.0.2.0/24\"]\n  protocol = \"tcp\"\n  container_ports = [5432]\n}\n" + web, "unguarded", []remedy{
			{`Add published_ports,`, "container_ports = [5432]", "container_ports = [5432]\n  published_ports = [5433]"},
		}},
		{"a deny of a bridge", host + "deny \"pg\" {\n  source = [\"192.0.2.0/24\"]\n  out_interfaces = [\"br-a\"]\n}\n" + web, "unguarded", []remedy{
			{`Add protocol and published_ports`, `["br-a"]`, "[\"br-a\"]\n  protocol = \"tcp\"\n  published_ports = [5433]"},
			{`or published_address`, `["br-a"]`, "[\"br-a\"]\n  published_address = [\"198.51.100.1\"]"},
		}},
		{"clients that default allows", host + admin + "default {\n  allow = [\"192.0.2.7\", \"198.51.100.0/24\"]\n}\n", "allowed-anyway", []remedy{
			{`Remove it`, admin, ""},
			{`remove its clients from default.allow`, `["192.0.2.7", "198`, `["198`},
		}},
		{"a default that admits everyone", host + admin + "default {\n  action = \"return\"\n}\n", "allowed-anyway", []remedy{
			{`Remove it`, admin, ""},
			{`set action = "drop" in default`, `"return"`, `"drop"`},
		}},
		{"an interface that is not external", host + strings.Replace(admin, "\n}", "\n  interfaces = [\"eth1\"]\n}", 1), "not-external", []remedy{
			{`Add it to the host's external_interfaces`, `["eth0"]`, `["eth0", "eth1"]`},
		}},
	} {
		before, text := codes(t, c.policy)
		if !slices.Contains(before, c.code) {
			t.Errorf("%s: %q, not %s", c.name, before, c.code)
			continue
		}
		if slices.Contains(before, "not-external") && slices.Contains(before, "allowed-anyway") {
			t.Errorf("%s: one proposes to keep the accept, the other to remove it: %s", c.name, text)
		}
		for _, r := range c.remedies {
			if !strings.Contains(text, r.advice) {
				t.Errorf("%s: %q is not in %s", c.name, r.advice, text)
			}
			changed := strings.Replace(c.policy, r.from, r.to, 1)
			if changed == c.policy {
				t.Fatalf("%s: %q is not in the policy", c.name, r.from)
			}
			if after, text := codes(t, changed); slices.Contains(after, c.code) {
				t.Errorf("%s: %q does not help: %s", c.name, r.advice, text)
			}
		}
	}
}

// A deny for some of an accept's own clients is an exception made on purpose.
func TestAnExceptionFromAnAcceptIsNoFinding(t *testing.T) {
	found, text := codes(t, `
host {
  external_interfaces = ["eth0"]
}
deny "one" {
  source = ["192.0.2.66"]
}
accept "net" {
  source          = ["192.0.2.0/24"]
  protocol        = "tcp"
  published_ports = [22]
}
`)
	if len(found) > 0 {
		t.Error(text)
	}
}

func TestOpenPortsAreListedWithInterfacesAndDenies(t *testing.T) {
	_, text := codes(t, `
host {
  external_interfaces = ["eth0", "eth1"]
}
deny "scanner" {
  source = ["203.0.113.0/24"]
}
deny "no_telnet" {
  protocol        = "tcp"
  published_ports = [23]
}
accept "web" {
  protocol        = "tcp"
  published_ports = [443]
}
accept "admin" {
  protocol        = "tcp"
  published_ports = [8443]
  interfaces      = ["eth1"]
}
accept "telnet" {
  protocol        = "tcp"
  published_ports = [23]
}
`)
	for _, want := range []string{
		`443/tcp (accept "web"); `,
		`8443/tcp on eth1 (accept "admin"); all of them except what deny "scanner" refuses.`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %s", want, text)
		}
	}
	if strings.Contains(text, `23/tcp`) {
		t.Errorf("a port that is denied to everyone must not be listed as open: %s", text)
	}
}
