//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestPublishedPortsAndEgressOnARealEngine(t *testing.T) {
	t.Parallel()
	for _, backend := range Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			lab := NewLab(t)
			engine := lab.StartEngine(EngineOptions{Backend: backend, IPv6: true})
			web := engine.RunContainer(ContainerOptions{
				Name:    "web",
				Publish: []string{"8080:80/tcp", "5353:53/udp"},
				Listen:  []string{"80/tcp", "81/tcp", "53/udp"},
			})

			other := Backends[0]
			if backend == other {
				other = Backends[1]
			}
			for family, chain := range map[int]string{4: "DOCKER-USER", 6: "DOCKER-USER"} {
				if family == 6 && makesNoDockerUser6(engine) {
					chain = "DOCKER"
				}
				if rules := engine.Tools.IPTablesSave(backend, family, "filter"); !strings.Contains(rules, "\n:"+chain+" ") {
					t.Errorf("no %s in %s:\n%s", chain, backend.Tool(family, "-save"), rules)
				}
				if rules := engine.Tools.IPTablesSave(other, family, "filter"); strings.Contains(rules, "DOCKER") {
					t.Errorf("chains in %s as well:\n%s", other.Tool(family, "-save"), rules)
				}
			}

			for _, client := range []*Node{lab.Allowed, lab.Other, lab.Inside} {
				// The answer has the client's own address: docker-proxy is not involved.
				answers(t, client, "tcp", lab.Host.At(8080), "web tcp 80 from "+client.V4.String())
				answers(t, client, "udp", lab.Host.At(5353), "web udp 53 from "+client.V4.String())
				answers(t, client, "tcp", lab.Host.At6(8080), "web tcp 80 from "+client.V6.String())
				answers(t, client, "udp", lab.Host.At6(5353), "web udp 53 from "+client.V6.String())
			}
			// Before engine 28, a container's own address is reachable from outside:
			// docs/contributing/docker.md, "Direct access to containers".
			if direct := lab.Other.Connect("tcp", web.At(80)); (direct == Answered) != engine.Before(28) {
				t.Errorf("to the address of the container: %s", direct)
			}
			requireResult(t, lab.Other, "tcp", web.At(81), TimedOut)
			requireResult(t, lab.Allowed, "tcp", lab.Host.At(8081), Refused)
			requireResult(t, lab.Allowed, "udp", lab.Host.At(8081), Refused)

			lab.Allowed.Serve("443/tcp", "53/udp")
			answers(t, web.Node, "tcp", lab.Allowed.At(443), "allowed tcp 443 from "+lab.Host.V4.String())
			answers(t, web.Node, "udp", lab.Allowed.At(53), "allowed udp 53 from "+lab.Host.V4.String())
			answers(t, web.Node, "tcp", lab.Allowed.At6(443), "allowed tcp 443 from "+lab.Host.V6.String())
			answers(t, web.Node, "udp", lab.Allowed.At6(53), "allowed udp 53 from "+lab.Host.V6.String())

			if out, _, err := web.Exec("busybox", "ip", "address"); err != nil || !strings.Contains(out, web.V4.String()) {
				t.Errorf("docker exec, %s expected: %q, %v", web.V4, out, err)
			}
		})
	}
}

func TestRulesEndConnectionsAndSurviveEngineRestarts(t *testing.T) {
	t.Parallel()
	for _, backend := range Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			lab := NewLab(t)
			engine := lab.StartEngine(EngineOptions{Backend: backend})
			engine.CreateNetwork("app", "10.201.0.0/24", "")
			engine.RunContainer(ContainerOptions{Name: "web", Publish: []string{"8080:80", "5353:53/udp"}, Network: "app"})

			allowed := lab.Allowed.OpenSession("tcp", lab.Host.At(8080))
			other := lab.Other.OpenSession("tcp", lab.Host.At(8080))
			otherUDP := lab.Other.OpenSession("udp", lab.Host.At(5353))

			must(t, engine.Tools.IPSetRestore("create banned hash:ip\nadd banned 198.51.100.3\n"))
			must(t, engine.Tools.IPTables(backend, 4, "-I", "DOCKER-USER", "-m", "set", "--match-set", "banned", "src", "-j", "DROP"))

			check := func(when string) {
				t.Helper()
				if got := lab.Allowed.Connect("tcp", lab.Host.At(8080)); got != Answered {
					t.Errorf("%s: allowed: %s", when, got)
				}
				if got := lab.Other.Connect("tcp", lab.Host.At(8080)); got != TimedOut {
					t.Errorf("%s: other: %s", when, got)
				}
			}
			var waiting sync.WaitGroup
			waiting.Go(func() { pings(t, "allowed", allowed, Answered) })
			waiting.Go(func() { pings(t, "other", other, TimedOut) })
			waiting.Go(func() { pings(t, "other's udp", otherUDP, TimedOut) })
			check("rule loaded")
			waiting.Wait()

			engine.Stop() // deletes the DNAT rules and stops the containers
			requireResult(t, lab.Allowed, "tcp", lab.Host.At(8080), Refused)
			engine.Start()
			check("engine stopped and started")
			engine.Kill()
			check("engine killed")
			engine.Start()
			check("engine started after a kill")

			if sets := engine.Tools.IPSetSave(); !strings.Contains(sets, "add banned 198.51.100.3\n") {
				t.Errorf("ipset save:\n%s", sets)
			}
		})
	}
}

func TestClientsDistinguishRejects(t *testing.T) {
	t.Parallel()
	Require(t, "iptables-nft", "iptables-legacy")
	for _, backend := range Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			lab := NewLab(t)
			lab.Host.Serve("80/tcp", "53/udp")
			for _, c := range []struct {
				target   string
				tcp, udp Result
			}{
				{"-j DROP", TimedOut, TimedOut},
				{"-j REJECT", Refused, Refused},
				{"-j REJECT --reject-with icmp-admin-prohibited", Unreachable, Unreachable},
				{"-j REJECT --reject-with icmp-host-unreachable", Unreachable, Unreachable},
				{"-j RETURN", Answered, Answered},
			} {
				must(t, lab.Host.IPTablesRestore(backend, 4,
					"*filter\n:T - [0:0]\n-F INPUT\n-A INPUT -j T\n-A T -s 198.51.100.3 "+c.target+"\nCOMMIT\n"))
				requireResult(t, lab.Allowed, "tcp", lab.Host.At(80), Answered)
				requireResult(t, lab.Other, "tcp", lab.Host.At(80), c.tcp)
				requireResult(t, lab.Other, "udp", lab.Host.At(53), c.udp)
			}

			// Without -p, neighbor discovery would be rejected as well.
			must(t, lab.Host.IPTablesRestore(backend, 6, `*filter
-A INPUT -s 2001:db8:1::3 -p tcp -j REJECT --reject-with icmp6-adm-prohibited
-A INPUT -s 2001:db8:1::3 -p udp -j REJECT --reject-with icmp6-adm-prohibited
COMMIT
`))
			requireResult(t, lab.Other, "tcp", lab.Host.At6(80), Unreachable)
			requireResult(t, lab.Other, "udp", lab.Host.At6(53), Unreachable)
			requireResult(t, lab.Allowed, "udp", lab.Host.At6(53), Answered)

			// The other address of the host answers from that address.
			requireResult(t, lab.Allowed, "udp", "203.0.113.1:53", Answered)
			if err := lab.Host.IPTablesRestore(backend, 4, "*filter\n-A NOPE -j DROP\nCOMMIT\n"); err == nil {
				t.Error("a file with an error was loaded")
			}
		})
	}
}

// Not parallel: it examines the whole test process.
func TestNothingIsLeftOver(t *testing.T) {
	for _, backend := range Backends {
		before := footprint(t, nil)
		var own []string
		t.Run(string(backend), func(t *testing.T) {
			lab := NewLab(t)
			engine := lab.StartEngine(EngineOptions{Backend: backend})
			web := engine.RunContainer(ContainerOptions{Name: "web", Publish: []string{"8080:80"}})
			for _, ns := range []*Namespace{lab.Host.Namespace, lab.Allowed.Namespace, web.Namespace} {
				err := ns.Within(func() error {
					id, err := os.Readlink("/proc/thread-self/ns/net")
					own = append(own, id)
					return err
				})
				must(t, err)
			}
			if during := footprint(t, own); during == before || !strings.Contains(during, "labserver") {
				t.Errorf("the test does not see what may be left over:\n%s", during)
			}
			engine.Kill() // leaves containers and the shims of containerd
		})
		if after := footprint(t, own); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	}
}

// footprint lists this process's namespaces, mounts, temporary files and
// cgroups, its child processes, and all processes in some network namespaces. (Other test processes
// on this machine have namespaces of their own.)
func footprint(t *testing.T, namespaces []string) string {
	t.Helper()
	var out strings.Builder
	for _, pattern := range []string{
		fmt.Sprintf("/run/netns/*-%d-*", os.Getpid()),
		filepath.Join(os.TempDir(), "TestNothingIsLeftOver*"),
		filepath.Join(os.TempDir(), fmt.Sprintf("labserver-%d-*", os.Getpid())),
		fmt.Sprintf("/sys/fs/cgroup/dfw-host-%d-*", os.Getpid()),
		fmt.Sprintf("/sys/fs/cgroup/*/dfw-host-%d-*", os.Getpid()),
	} {
		found, err := filepath.Glob(pattern)
		must(t, err)
		for _, path := range found {
			fmt.Fprintln(&out, path)
		}
	}

	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	count := 0
	for line := range strings.Lines(string(mounts)) {
		// ip netns mounts each namespace, also those of other processes, and on a new machine their directory.
		if !strings.Contains(line, "/netns") || strings.Contains(line, fmt.Sprintf("-%d-", os.Getpid())) {
			count++
		}
	}
	fmt.Fprintln(&out, "mounts:", count)

	processes, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	for _, process := range processes {
		status, err := os.ReadFile(process + "/status")
		if err != nil {
			continue // it has ended
		}
		net, _ := os.Readlink(process + "/ns/net")
		child := strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", os.Getpid()))
		if child || slices.Contains(namespaces, net) {
			command, _ := os.ReadFile(process + "/cmdline")
			fmt.Fprintf(&out, "%s %s %q\n", process, net, command)
		}
	}
	return out.String()
}

// makesNoDockerUser6 reports whether the engine makes no DOCKER-USER for IPv6: 20.10 with
// ip6tables makes only its other chains: docs/contributing/docker.md, "IPv6 with engine
// 20.10".
func makesNoDockerUser6(engine *Engine) bool { return engine.Before(26) }

func answers(t *testing.T, from *Node, network, to, want string) {
	t.Helper()
	if result, answer := from.AskFor(LongPatience, network, to); answer != want {
		t.Errorf("%s to %s/%s: %s %q, want %q", from.Name, to, network, result, answer, want)
	}
}

func requireResult(t *testing.T, from *Node, network, to string, want Result) {
	t.Helper()
	patience := LongPatience
	if want == TimedOut {
		patience = Patience
	}
	if got, _ := from.AskFor(patience, network, to); got != want {
		t.Errorf("%s to %s/%s: %s, want %s", from.Name, to, network, got, want)
	}
}

func pings(t *testing.T, name string, session *Session, want Result) {
	t.Helper()
	if got := session.Ping(); got != want {
		t.Errorf("open session of %s: %s, want %s", name, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
