package diff

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
)

func policyState(t *testing.T, text string) *snapshot.Host {
	t.Helper()
	return openedFile(t, filepath.Join(t.TempDir(), "policy.hcl"), text)
}

// openedFile writes a text to a path, and returns the host that it is about.
func openedFile(t *testing.T, path, text string) *snapshot.Host {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	opened, diags, err := snapshot.Open(path, driver.Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	return opened.Hosts[0]
}

// A change of forwarded packets and the same one at docker-proxy are one change; one at
// docker-proxy alone is a change of that path.
func TestOneChangeOfBothPathsIsReportedOnce(t *testing.T) {
	const base = `
host {
  external_interfaces = ["eth0"]
  families            = ["ipv4"]
  proxy_ports         = [8080]
}
default { allow = ["192.0.2.0/24"] }
`
	for _, c := range []struct {
		name, now string
		want      []string
	}{
		{"a deny", base + "deny \"one\" { source = [\"192.0.2.66\"] }\n", []string{
			"forwarded narrowed: 192.0.2.66, arriving on eth0, to anything; proxy: docker-proxy on port 8080/tcp",
		}},
		{"another port", strings.Replace(base, "8080", `8080, "53/udp"`, 1), []string{
			"docker-proxy narrowed: everyone except 192.0.2.0/24, arriving on eth0, to docker-proxy on port 53/udp",
		}},
		{"no INPUT protection", strings.Replace(base, "proxy_ports         = [8080]", "input_guard = false", 1), []string{
			"docker-proxy widened: everyone except 192.0.2.0/24, arriving on eth0, to docker-proxy on port 8080/tcp",
		}},
		{"the bridge alone", strings.Replace(base, "families", "container_interfaces = [\"docker0\"]\nfamilies", 1), []string{
			"forwarded widened: everyone except 192.0.2.0/24, arriving on eth0, to anything leaving on any interface except docker0",
		}},
	} {
		report, err := Compare(policyState(t, base), policyState(t, c.now), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, change := range report.Changes {
			text := string(change.Path) + " " + string(change.Effect) + ": " + strings.Join(linesOf(change), "; ")
			if len(change.Proxy) > 0 {
				text += "; proxy: " + sentences{}.destinations(change.Proxy)
			}
			got = append(got, text)
			if w := change.Witness; change.Path == ToProxy && (w.Out != "" || w.DNAT) {
				t.Errorf("%s: not a packet of INPUT: %s", c.name, w)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// Long lists of addresses that begin alike are not the same clients: here somebody has changed the rule for
// docker-proxy on the host.
func TestListsThatBeginAlikeAreNotTheSame(t *testing.T) {
	const table = `table inet dockerfw {
	chain forward {
		type filter hook forward priority filter - 10; policy accept;
		iifname "eth0" jump dockerfw-in comment "dockerfw forward"
	}

	chain input {
		type filter hook input priority filter - 10; policy accept;
		iifname "eth0" tcp dport 443 jump dockerfw-proxy comment "dockerfw input"
	}

	chain dockerfw-in {
		ip saddr { 192.0.2.1, 192.0.2.3, 192.0.2.5, 192.0.2.7, 192.0.2.9 } drop comment "dockerfw deny a"
	}

	chain dockerfw-proxy {
		ip saddr { 192.0.2.1, 192.0.2.3, 192.0.2.5, 192.0.2.7, 192.0.2.9 } drop comment "dockerfw deny a"
	}
}
`
	dir := t.TempDir()
	host := func(name, text string) *snapshot.Host { return openedFile(t, filepath.Join(dir, name), text) }
	const list = "192.0.2.1, 192.0.2.3, 192.0.2.5, 192.0.2.7 and 1 more, arriving on eth0, to "
	for _, c := range []struct {
		name, before string
		want         []string
	}{
		{"same", table, []string{"forwarded: " + list + "anything; proxy: docker-proxy on port 443/tcp"}},
		{
			"other", table[:strings.LastIndex(table, "192.0.2.9")] + "192.0.2.11" + table[strings.LastIndex(table, "192.0.2.9")+len("192.0.2.9"):],
			[]string{"forwarded: " + list + "anything; proxy: ", "docker-proxy: " + list + "docker-proxy on port 443/tcp; proxy: "},
		},
	} {
		now := regexp.MustCompile(".* drop .*\n").ReplaceAllString(table, "")
		report, err := Compare(host(c.name, c.before), host(c.name+" now", now), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, change := range report.Changes {
			got = append(got, string(change.Path)+": "+strings.Join(sentences{}.description(change.Packets), "; ")+"; proxy: "+sentences{}.destinations(change.Proxy))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

// Reports of hosts that differ in such a list alone are not one report of both.
func TestReportsWithListsThatBeginAlikeAreNotOne(t *testing.T) {
	of := func(last string) *Report {
		var b packet.AddrSetBuilder
		for _, a := range []string{"192.0.2.1", "192.0.2.3", "192.0.2.5", "192.0.2.7", last} {
			b.AddRange(netip.MustParseAddr(a), netip.MustParseAddr(a))
		}
		clients := Clients{Addresses: &packet.Addresses{In: b.Set("")}}
		return &Report{Effect: Widened, Changes: []Change{{Path: Forwarded, Families: []ir.Family{ir.IPv4}, Effect: Widened, Packets: Description{Traffic: []Traffic{{Clients: clients, To: []Destination{{}}}}}}}}
	}
	for last, want := range map[string]int{"192.0.2.9": 1, "192.0.2.11": 2} {
		if got := len(sameReports([]*Report{of("192.0.2.9"), of(last)})); got != want {
			t.Errorf("with %s: %d reports, want %d", last, got, want)
		}
	}
}
