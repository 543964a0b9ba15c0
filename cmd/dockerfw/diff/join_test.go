package diff

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

func policyState(t *testing.T, text string) *snapshot.Host {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
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
