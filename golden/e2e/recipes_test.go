//go:build linux

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// recipe is a section of the cookbook: its policy, and its files by their paths.
func recipe(t *testing.T, title string) (policy string, files map[string]string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/cookbook.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(doc), "\n## "+title+"\n")
	if !found {
		t.Fatalf("the cookbook has no section %q", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	files = map[string]string{}
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		if m[1] == "hcl" {
			policy = m[2]
		} else if path := regexp.MustCompile(`(?m)^# (/[^ :\n]+)`).FindStringSubmatch(m[2]); path != nil {
			files[path[1]] = m[2]
		}
	}
	return policy, files
}

// withRecipe is a host with the policy of a recipe.
func withRecipe(t *testing.T, title string, tools ...string) (*target, map[string]string) {
	t.Helper()
	lab.Require(t, tools...)
	h := newTarget(t, lab.NFT)
	h.addDockerChains(h.backend)
	h.MustRun("ip", "link", "set", "lo", "up")
	policy, files := recipe(t, title)
	h.succeeds(compileFolder(t, "recipe", policy), nil)
	return h, files
}

// verdict is what explain prints about a packet on the host.
func (h *target) verdict(args ...string) string {
	h.t.Helper()
	got := h.dockerfw(append([]string{"explain", "live", "--interface"}, args...)...)
	h.expect(got, 0)
	return got.text
}

func TestTheAddressesOfANameReachThePort(t *testing.T) {
	t.Parallel()
	h, files := withRecipe(t, "A client whose address changes", "getent", "awk")
	script := h.path("dockerfw-home")
	if err := os.WriteFile(script, []byte(files["/usr/local/sbin/dockerfw-home"]), 0o755); err != nil {
		t.Fatal(err)
	}
	// The program looks names up in this file.
	lookup := func(hosts string) {
		t.Helper()
		file := h.path("hosts")
		if err := os.WriteFile(file, []byte(hosts), 0o644); err != nil {
			t.Fatal(err)
		}
		h.MustRun("unshare", "-m", "sh", "-ec", `mount --bind "$1" /etc/hosts; printf 'hosts: files\n' > "$1.nss"; mount --bind "$1.nss" /etc/nsswitch.conf; exec sh "$2"`, "sh", file, script)
	}
	requireReach := func(when string, clients map[string]bool) {
		t.Helper()
		for client, want := range clients {
			got := h.verdict("eth0", "--from", client, "--to-port", "8443", "--container-port", "8443", "--chain", "DOCKER-USER")
			if accepted := strings.Contains(got, `Accepted by rule accept "admin"`); accepted != want {
				t.Errorf("%s: %s: accepted %v, want %v:\n%s", when, client, accepted, want, got)
			}
		}
	}
	requireReach("before", map[string]bool{"198.51.100.7": false, "2001:db8:5::7": false})
	lookup("198.51.100.7 home.example.net\n2001:db8:5::7 home.example.net\n192.0.2.1 other.example.net\n")
	requireReach("looked up", map[string]bool{"198.51.100.7": true, "2001:db8:5::7": true, "192.0.2.1": false})
	lookup("198.51.100.8 home.example.net\n")
	requireReach("changed", map[string]bool{"198.51.100.8": true})
	// Entries expire, and looking the name up again renews them.
	for _, set := range []string{"home", "home-v6"} {
		if list := h.MustRun("ipset", "save", set); !regexp.MustCompile(`add ` + set + ` \S+ timeout (8[0-9][0-9]|900)\n`).MatchString(list) {
			t.Errorf("an entry does not expire:\n%s", list)
		}
	}
	h.MustRun("ipset", "-exist", "add", "home", "198.51.100.8", "timeout", "60")
	lookup("198.51.100.8 home.example.net\n")
	if list := h.MustRun("ipset", "save", "home"); !regexp.MustCompile(`198\.51\.100\.8 timeout (8[0-9][0-9]|900)\n`).MatchString(list) {
		t.Errorf("an entry was not renewed:\n%s", list)
	}
}

// A second dnsmasq is the DNS of the Internet.
func TestAResolverOpensTheServersThatItIsAskedFor(t *testing.T) {
	t.Parallel()
	h, files := withRecipe(t, "Containers may reach some servers by their names", "dnsmasq", "busybox")
	configuration := h.path("containers.conf")
	// docker0 exists, as with an engine; the container is the host itself, at docker0's address.
	h.MustRun("ip", "link", "add", "docker0", "type", "bridge")
	h.MustRun("ip", "address", "add", "172.17.0.1/16", "dev", "docker0")
	h.MustRun("ip", "link", "set", "docker0", "up")
	if err := os.WriteFile(configuration, []byte(files["/etc/dnsmasq.d/containers.conf"]), 0o644); err != nil {
		t.Fatal(err)
	}
	h.dnsmasq(t, "--listen-address=127.0.0.2", "--bind-interfaces", "--no-resolv", "--conf-file=/dev/null",
		"--address=/mirror.example.com/203.0.113.80", "--address=/mirror.example.com/2001:db8:80::80", "--address=/other.example.com/203.0.113.81")
	h.dnsmasq(t, "--conf-file="+configuration, "--no-resolv", "--server=127.0.0.2")
	requireReach := func(when string, servers map[string]bool) {
		t.Helper()
		for server, want := range servers {
			from := "172.17.0.2"
			if net.ParseIP(server).To4() == nil {
				from = "fd00:17::2"
			}
			got := h.verdict("docker0", "--out-interface", "eth0", "--from", from, "--to-address", server, "--to-port", "443", "--chain", "DOCKER-USER")
			if accepted := strings.Contains(got, `Accepted by rule accept "updates"`); accepted != want {
				t.Errorf("%s: %s: accepted %v, want %v:\n%s", when, server, accepted, want, got)
			}
		}
	}
	requireReach("before", map[string]bool{"203.0.113.80": false, "2001:db8:80::80": false, "203.0.113.81": false})
	for _, name := range []string{"mirror.example.com", "other.example.com"} {
		for _, kind := range []string{"a", "aaaa"} {
			out, _, _ := h.Run("busybox", "nslookup", "-type="+kind, name, "172.17.0.1")
			if kind == "a" && !strings.Contains(out, "203.0.113.8") {
				t.Fatalf("%s is not resolved:\n%s", name, out)
			}
		}
	}
	requireReach("looked up", map[string]bool{"203.0.113.80": true, "2001:db8:80::80": true, "203.0.113.81": false})
	// A later lookup renews an entry.
	h.MustRun("ipset", "-exist", "add", "updates", "203.0.113.80", "timeout", "60")
	h.MustRun("busybox", "nslookup", "-type=a", "mirror.example.com", "172.17.0.1")
	if list := h.MustRun("ipset", "save", "updates"); !regexp.MustCompile(`203\.0\.113\.80 timeout 86[34][0-9][0-9]\n`).MatchString(list) {
		t.Errorf("a lookup did not renew the entry:\n%s", list)
	}
}

// dnsmasq starts one in the namespace, until the test ends, and waits until it answers.
func (h *target) dnsmasq(t *testing.T, args ...string) {
	t.Helper()
	pidFile := filepath.Join(t.TempDir(), "pid")
	args = append([]string{"dnsmasq", "--pid-file=" + pidFile, "--user=root", "--cache-size=0", "--no-hosts"}, args...)
	h.MustRun(args...) // it continues in the background once it listens
	t.Cleanup(func() {
		if pid := strings.TrimSpace(readOr(t, pidFile, "")); pid != "" {
			_ = exec.Command("kill", pid).Run()
		}
	})
}

// The metrics of a host are those of its rules and sets.
func TestMetricsShowDropsDriftAndSets(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.withPolicy("clients")
	file := h.path("dockerfw.prom")
	metrics := func(code int) map[string]*dto.MetricFamily {
		t.Helper()
		h.expect(h.dockerfw("status", "--format", "prometheus", "--output", file), code)
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(f)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := f.Stat(); err != nil || info.Mode().Perm()&0o044 != 0o044 {
			t.Errorf("node_exporter cannot read the file: %v", info.Mode())
		}
		return families
	}
	value := func(families map[string]*dto.MetricFamily, name, label string) float64 {
		t.Helper()
		for _, m := range families["dockerfw_"+name].GetMetric() {
			text := fmt.Sprint(m.GetLabel())
			if label == "" || strings.Contains(text, label) {
				return m.GetGauge().GetValue()
			}
		}
		t.Errorf("no metric %s with %s", name, label)
		return -1
	}
	m := metrics(0)
	if value(m, "ok", "") != 1 || value(m, "differences", "") != 0 || value(m, "state", "in_force") != 1 || value(m, "set_entries", "clients") < 1 {
		t.Errorf("in order: %v", m)
	}
	if len(m["dockerfw_dropped_packets_total"].GetMetric()) == 0 {
		t.Error("there are no drops by rule")
	}
	if age := time.Since(time.Unix(int64(value(m, "status_timestamp_seconds", "")), 0)); age < 0 || age > time.Minute {
		t.Errorf("the status is %v old", age)
	}
	h.rule(4, "-F", "DOCKER-USER")
	m = metrics(1)
	if value(m, "ok", "") != 0 || value(m, "differences", "") < 1 || value(m, "state", "different") != 1 {
		t.Errorf("flushed: %v", m)
	}
	// What cannot be read leaves the file as it was.
	before := readOr(t, file, "")
	real, err := os.Readlink(h.path("bin/ipset"))
	if err != nil {
		t.Fatal(err)
	}
	h.wrap("ipset", "exit 1")
	h.expect(h.dockerfw("status", "--format", "prometheus", "--output", file), 2)
	h.unwrap("ipset", real)
	if after := readOr(t, file, ""); after != before || before == "" {
		t.Errorf("the file was changed:\n%s", after)
	}
}
