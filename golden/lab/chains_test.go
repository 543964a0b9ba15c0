//go:build linux

package lab

import (
	"strings"
	"testing"
)

// The rules are loaded before the engine starts, or while it runs. Afterwards the engine
// creates a network and restarts; it changes FORWARD each time.
func TestADropInDockerUserWorksWheneverItIsLoaded(t *testing.T) {
	t.Parallel()
	for _, backend := range Backends {
		for _, first := range []string{"rules", "engine"} {
			t.Run(string(backend)+"/"+first+" first", func(t *testing.T) {
				t.Parallel()
				lab := NewLab(t)
				engine := lab.NewEngine(EngineOptions{Backend: backend, IPv6: true})
				if first == "rules" {
					loadDrop(t, engine, backend)
					engine.Start()
				} else {
					engine.Start()
					loadDrop(t, engine, backend)
				}
				check := func(when string, port uint16, other6 Result) {
					t.Helper()
					for family, rules := range dropRules {
						saved := engine.Tools.IPTablesSave(backend, family, "filter")
						for _, rule := range rules {
							if !strings.Contains(saved, rule) {
								t.Errorf("%s: lost %s in\n%s", when, rule, saved)
							}
						}
					}
					requireResult(t, lab.Allowed, "tcp", lab.Host.At(port), Answered)
					requireResult(t, lab.Allowed, "tcp", lab.Host.At6(port), Answered)
					requireResult(t, lab.Other, "tcp", lab.Host.At(port), TimedOut)
					if got := lab.Other.Connect("tcp", lab.Host.At6(port)); got != other6 {
						t.Errorf("%s: other over IPv6: %s, want %s\n%s", when, got, other6,
							engine.Tools.MustRun(backend.Tool(6, ""), "-w", "10", "-S", "FORWARD"))
					}
				}

				started, later := TimedOut, TimedOut
				if makesNoDockerUser6(engine) {
					// It inserts its IPv6 rules before a jump to DOCKER-USER, which it does not
					// use over IPv6: docs/contributing/docker.md, "IPv6 with engine 20.10".
					t.Attr("note", "over IPv4; over IPv6 the engine inserts its own rules before the jump to DOCKER-USER at each start and for each new network, so that packets do not reach the drop")
					later = Answered
					if first == "rules" {
						started = Answered
					}
				}
				engine.RunContainer(ContainerOptions{Name: "web", Publish: []string{"8080:80"}})
				check("loaded", 8080, started)
				engine.CreateNetwork("app", "10.201.0.0/24", "fd00:201::/64")
				engine.RunContainer(ContainerOptions{Name: "app", Publish: []string{"8081:80"}, Network: "app"})
				check("a network made", 8081, later)
				engine.Stop()
				engine.Start()
				check("engine started again", 8080, later)
			})
		}
	}
}

// dropRules drop the other client, as iptables-save prints them. The chain PROTECT is like one
// of ours in INPUT, which must not drop neighbor discovery.
var dropRules = map[int][]string{
	4: {
		"-A INPUT -j PROTECT\n",
		"-A DOCKER-USER -s 198.51.100.3/32 -j DROP\n",
		"-A PROTECT -s 198.51.100.3/32 -p tcp -m tcp --dport 22 -j DROP\n",
	},
	6: {
		"-A INPUT -j PROTECT\n",
		"-A DOCKER-USER -s 2001:db8:1::3/128 -j DROP\n",
		"-A PROTECT -s 2001:db8:1::3/128 -p tcp -m tcp --dport 22 -j DROP\n",
	},
}

// loadDrop loads dropRules, with a jump from FORWARD where there is none.
func loadDrop(t *testing.T, engine *Engine, backend Backend) {
	t.Helper()
	for family, rules := range dropRules {
		must(t, engine.Tools.IPTablesRestore(backend, family,
			"*filter\n:DOCKER-USER - [0:0]\n:PROTECT - [0:0]\n"+strings.Join(rules, "")+"COMMIT\n"))
		if !strings.Contains(engine.Tools.IPTablesSave(backend, family, "filter"), "-A FORWARD -j DOCKER-USER\n") {
			must(t, engine.Tools.IPTables(backend, family, "-I", "FORWARD", "-j", "DOCKER-USER"))
		}
	}
}
