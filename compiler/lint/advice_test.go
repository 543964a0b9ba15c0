package lint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/parser/diag"
)

// codes are the classes of all warnings and notes of a policy, world-open aside, and
// the text of each.
func codes(t *testing.T, policy string) (out []string, text string) {
	t.Helper()
	result, diags := compile(t, policy)
	for _, d := range append(diags, result.Lint()...) {
		if code := diag.InfoOf(d).Code; code != diag.CodeWorldOpen && code != diag.CodeProxyOpen {
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

// A source or a set with every address of a family is everyone.
func TestSourcesWithEveryAddressAreOpenToEveryone(t *testing.T) {
	const head = "host {\n  external_interfaces = [\"eth0\"]\n}\nipset \"all\" {\n  entries = [\"0.0.0.0/1\", \"128.0.0.0-255.255.255.255\"]\n}\n"
	const most = "ipset \"most\" {\n  entries = [\"0.0.0.0/0\", \"::/0\"]\n  exclude = [\"192.0.2.1\"]\n}\n"
	web := func(source string) string {
		return head + most + "accept \"web\" {\n  protocol = \"tcp\"\n  published_ports = [443]\n  source = [" + source + "]\n}\ndefault {\n  allow = [ipset.most]\n}\n"
	}
	const everyone, overIPv4, overIPv6 = "443/tcp (accept \"web\").", "443/tcp over IPv4 (accept \"web\").", "443/tcp over IPv6 (accept \"web\")."
	for source, want := range map[string]string{
		`"0.0.0.0/0", "::/0"`:           everyone,
		`"0.0.0.0/0"`:                   overIPv4,
		`ipset.all`:                     overIPv4,
		`ipset.all, "::/1", "8000::/1"`: everyone,
		`ipset.most`:                    overIPv6,
		`ipset.most, "192.0.2.1"`:       everyone,
		`"0.0.0.0/1", "255.0.0.0/8"`:    "",
	} {
		_, text := codes(t, web(source))
		if !strings.Contains(text, want) || want == "" && strings.Contains(text, "open to everyone") {
			t.Errorf("%s: %s", source, text)
		}
		if !strings.Contains(text, "open by default for IPv6") || strings.Contains(text, "open by default for IPv4") {
			t.Errorf("%s: default: %s", source, text)
		}
	}
	ssh := head + "input {\n  accept \"ssh\" {\n    protocol = \"tcp\"\n    ports = [22]\n    source = [ipset.all]\n  }\n}\n"
	if _, text := codes(t, ssh); !strings.Contains(text, "22/tcp of the host over IPv4 (accept \"ssh\").") {
		t.Error(text)
	}
}
