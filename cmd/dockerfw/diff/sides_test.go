package diff

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

// fleetPolicy is a policy of hosts with a number each, which some of them have as a port.
func fleetPolicy(ports string, numbers map[string]int, order ...string) string {
	text := "variable \"number\" {\n  type    = number\n  default = 1\n}\n"
	for _, label := range order {
		text += fmt.Sprintf("host %q {\n  external_interfaces = [\"eth0\"]\n  variables = { number = %d }\n}\n", label, numbers[label])
	}
	return text + "accept \"web\" {\n  protocol        = \"tcp\"\n  published_ports = [" + ports + ", 1000 + var.number]\n}\n"
}

func openSide(t *testing.T, path string, opts driver.Options) *snapshot.Side {
	t.Helper()
	s, diags, err := snapshot.OpenSide(path, opts)
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	t.Cleanup(s.Close)
	return s
}

func asJSON(t *testing.T, reports ...*Report) string {
	t.Helper()
	var b strings.Builder
	if err := Write(&b, "json", reports, Style{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Hosts of which others are copies, that differ, that are new and that were removed.
func TestHostsOfAFleetAreComparedAsAlone(t *testing.T) {
	before, after := filepath.Join(t.TempDir(), "policy.hcl"), filepath.Join(t.TempDir(), "policy.hcl")
	for path, text := range map[string]string{
		before: fleetPolicy("80", map[string]int{"own": 7, "other": 8}, "a", "removed", "b", "own", "c", "other"),
		after:  fleetPolicy("443", map[string]int{"own": 9, "other": 8}, "new", "c", "other", "b", "a", "own"),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reports, diags, err := Sides(openSide(t, before, driver.Options{}), openSide(t, after, driver.Options{}), Options{})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	var got, want []string
	for _, r := range reports {
		got = append(got, r.Host)
		if r.Host == "new" || r.Host == "removed" {
			if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "the host "+map[string]string{"new": "is new", "removed": "was removed"}[r.Host]) || !r.Different() {
				t.Errorf("host %s: %s", r.Host, notes)
			}
			continue
		}
		only := driver.Options{Hosts: []string{r.Host}}
		alone, diags, err := Sides(openSide(t, before, only), openSide(t, after, only), Options{})
		if err != nil || diags.HasErrors() {
			t.Fatal(err, diags)
		}
		if diff := cmp.Diff(asJSON(t, alone...), asJSON(t, r)); diff != "" || alone[0].Host != r.Host {
			t.Errorf("host %s (-alone +in the fleet):\n%s", r.Host, diff)
		}
	}
	if want = []string{"new", "c", "other", "b", "a", "own", "removed"}; !cmp.Equal(want, got) {
		t.Errorf("hosts %v, want %v", got, want)
	}
}

// All errors in compiled folders are reported, not only those of the first host.
func TestErrorsOfAllFoldersAreReported(t *testing.T) {
	dir := t.TempDir()
	policy, compiled := filepath.Join(dir, "policy.hcl"), filepath.Join(dir, "compiled")
	if err := os.WriteFile(policy, []byte(fleetPolicy("80", nil, "a", "b", "c")), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(policy, driver.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for name, content := range result.Folder() {
		if name == "a/iptables.restore" || name == "c/iptables.restore" {
			content = append(content, "-A BROKEN\n"...)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(compiled, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(compiled, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reports, diags, err := Sides(openSide(t, compiled, driver.Options{}), openSide(t, policy, driver.Options{}), Options{})
	var places []string
	for _, d := range diags {
		rel, _ := filepath.Rel(compiled, d.Subject.Filename)
		places = append(places, rel)
	}
	if diff := cmp.Diff([]string{"a/iptables.restore", "c/iptables.restore"}, places); diff != "" || reports != nil || err != nil {
		t.Errorf("%v, %v, errors in (-want +got):\n%s", reports, err, diff)
	}
}
