//go:build linux

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// publishedText is a policy that lists one port of the container, with more attributes of the host
// and more blocks.
func publishedText(host, blocks string) string {
	return `
host {
  external_interfaces = ["eth0"]
` + host + `}
accept "public" {
  protocol        = "tcp"
  published_ports = [8443, 4433]
}
` + blocks
}

// What verify reports of the ports that a real engine publishes is what clients can connect to: a
// port that a rule lists, one that no rule lists and docker-proxy answers over IPv6, one on
// 127.0.0.1, and one of a container in the network of the host. check says the same of the output
// of docker ps.
func TestVerifyReportsThePublishedPortsThatClientsReach(t *testing.T) {
	lab.Require(t, "dockerd", "iptables-nft", "iptables-legacy", "ipset", "busybox")
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			site := lab.NewLab(t)
			engine := site.StartEngine(lab.EngineOptions{Backend: backend})
			b := newBench(t, site, engine, backend)
			b.web("8443:80/tcp", "8080:81/tcp", "127.0.0.1:9090:82/tcp", "5353:53/udp")
			b.engine.Docker("run", "--detach", "--name", "hostnet", "--network", "host", "lab", "/bin/busybox", "httpd", "-f", "-p", "7070", "-h", "/")
			host, v6 := b.Host.At, b.Host.At6
			for end := time.Now().Add(10 * time.Second); b.Other.Connect("tcp", host(7070)) == lab.Refused && time.Now().Before(end); {
				time.Sleep(100 * time.Millisecond) // until it listens
			}
			hostNetwork := func(want bool) {
				t.Helper()
				to := []endpoint{{"tcp", host(7070)}, {"tcp", v6(7070)}}
				for i, got := range b.connect(b.Other, to) {
					if got == lab.TimedOut == want || got == lab.Refused {
						t.Errorf("network_mode: host at %s: %s; reachable is to be %t", to[i].to, got, want)
					}
				}
			}
			// published returns the line of the check, and its result.
			published := func(folder string) (text string, ok bool) {
				t.Helper()
				out, _ := b.dockerfw("verify", folder, "--format", "json")
				var checks []struct {
					Check string
					OK    bool
					Text  string
				}
				if err := json.Unmarshal([]byte(out), &checks); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				for _, c := range checks {
					if c.Check == "published" {
						return c.Text, c.OK
					}
				}
				t.Fatalf("no check of published ports:\n%s", out)
				return "", false
			}
			requireTexts := func(when, text string, want, not []string) {
				t.Helper()
				for _, w := range want {
					if !strings.Contains(text, w) {
						t.Errorf("%s: no %q in\n%s", when, w, text)
					}
				}
				for _, n := range not {
					if strings.Contains(text, n) {
						t.Errorf("%s: %q in\n%s", when, n, text)
					}
				}
			}
			ps := filepath.Join(t.TempDir(), "containers.json")
			if err := os.WriteFile(ps, []byte(b.engine.Docker("ps", "--format", "{{json .}}")), 0o600); err != nil {
				t.Fatal(err)
			}
			checked := func(policy string) string {
				t.Helper()
				file := filepath.Join(t.TempDir(), "policy.hcl")
				if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
					t.Fatal(err)
				}
				out, _ := exec.Command(lab.Program(t), "check", "--published", ps, file).CombinedOutput()
				return strings.Join(strings.Fields(string(out)), " ")
			}

			policy := publishedText("", "")
			folder := b.folder("open", policy)
			b.apply(folder)
			b.expectAll("no input block", []try{
				{b.Other, "tcp", host(8443), lab.Answered},
				{b.Other, "tcp", v6(8443), lab.Answered},
				{b.Other, "tcp", host(8080), lab.TimedOut},
				{b.Other, "tcp", v6(8080), lab.Answered},
				{b.Other, "udp", host(5353), lab.TimedOut},
				{b.Other, "udp", v6(5353), lab.Answered},
				{b.Other, "tcp", host(9090), lab.Refused},
				{b.Other, "tcp", v6(9090), lab.Refused},
			})
			hostNetwork(true)
			text, ok := published(folder)
			if ok {
				t.Errorf("verify passes: %s", text)
			}
			requireTexts("no input block", text,
				[]string{"8080/tcp (container", "5353/udp (container", "is reachable over IPv6 through docker-proxy by everyone", "proxy_ports = [8080]", `proxy_ports = ["5353/udp"]`},
				[]string{"8443/tcp (container", "9090/tcp (container", "over IPv4"})
			status, _ := b.dockerfw("status")
			requireTexts("status without an input block", strings.Join(strings.Fields(status), " "), []string{"8080/tcp (container", "is reachable over IPv6 through docker-proxy by everyone"}, nil)
			loaded, _ := b.dockerfw("apply", folder)
			requireTexts("apply without an input block", strings.Join(strings.Fields(loaded), " "), []string{"warning: ", "is reachable over IPv6 through docker-proxy by everyone"}, nil)
			requireTexts("no input block", checked(policy),
				[]string{"error: 8080/tcp of web is open through docker-proxy [published-open]", "error: 5353/udp of web is open through docker-proxy", "127.0.0.1:9090/tcp of web is published on a loopback address", "warning: hostnet uses the network of the host [host-network]", `accept "public": 4433/tcp is not published [not-published]`, `443/tcp of web (accept "public")`},
				[]string{"error: 8443", "error: 127"})

			// proxy_ports closes the ports that it lists.
			folder = b.folder("listed", publishedText("  proxy_ports = [8080, \"5353/udp\"]\n", ""))
			b.apply(folder)
			b.expectAll("proxy_ports", []try{
				{b.Other, "tcp", v6(8080), lab.TimedOut},
				{b.Other, "udp", v6(5353), lab.TimedOut},
				{b.Other, "tcp", v6(8443), lab.Answered},
			})
			hostNetwork(true)
			text, ok = published(folder)
			if !ok {
				t.Errorf("verify fails: %s", text)
			}
			requireTexts("proxy_ports", text, []string{`open to everyone: 8443/tcp (accept "public")`, `accept "public": 4433/tcp is not published`, "network_mode: host", "7070/tcp", "loopback address", "127.0.0.1:9090/tcp"}, []string{"in no rule"})

			// An input block closes everything.
			policy = publishedText("", "input {\n  accept \"ssh\" {\n    protocol = \"tcp\"\n    ports    = [22]\n  }\n}\n")
			folder = b.folder("closed", policy)
			b.apply(folder)
			b.expectAll("input block", []try{
				{b.Other, "tcp", v6(8080), lab.TimedOut},
				{b.Other, "udp", v6(5353), lab.TimedOut},
				{b.Other, "tcp", v6(8443), lab.Answered},
			})
			hostNetwork(false)
			text, ok = published(folder)
			if !ok {
				t.Errorf("verify fails: %s", text)
			}
			status, _ = b.dockerfw("status")
			requireTexts("status with an input block", status, nil, []string{"docker-proxy"})
			requireTexts("input block", text, []string{"in no rule of the policy: 8080/tcp, 5353/udp"}, []string{"network_mode: host"})
			requireTexts("input block", checked(policy),
				[]string{"warning: 8080/tcp of web is in no rule [unlisted-port]", "note: hostnet uses the network of the host [host-network]"}, []string{"error:"})

			// Without DNAT, docker-proxy answers over IPv4 as well.
			folder = b.folder("open", publishedText("", ""))
			b.apply(folder)
			if err := b.engine.Tools.IPTables(backend, 4, "-t", "nat", "-F"); err != nil {
				t.Fatal(err)
			}
			b.expectAll("without the nat table", []try{{b.Other, "tcp", host(8080), lab.Answered}})
			text, _ = published(folder)
			requireTexts("without the nat table", text, []string{"is reachable over IPv4 through docker-proxy by everyone"}, nil)
		})
	}
}
