package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkProcess measures whole runs of compile, and runs of a peer over the same addresses in
// turn: the ratio of CPU times is comparable between machines, also under load. The peer is
// iprange, which only merges, or sort(1) where iprange is not installed or, in IPv6, does not
// read the list.
func BenchmarkProcess(b *testing.B) {
	dir, command := b.TempDir(), buildCommand(b)
	for _, list := range []struct {
		name string
		n    int
		text func(n int) string
		v6   bool
	}{
		{"addresses", 1_000, addressList, false},
		{"addresses", 100_000, addressList, false},
		{"addresses", 1_000_000, addressList, false},
		{"mixed", 1_000_000, mixedList, false},
		{"mixed6", 1_000_000, mixedList6, true},
	} {
		b.Run(fmt.Sprintf("%s=%d", list.name, list.n), func(b *testing.B) {
			file := filepath.Join(dir, "list.txt")
			writeFile(b, file, list.text(list.n))
			policy := filepath.Join(dir, "policy.hcl")
			writeFile(b, policy, "host {\n  external_interfaces = [\"eth0\"]\n}\nipset \"big\" {\n  files = [\"list.txt\"]\n}\ndeny \"big\" {\n  source = [ipset.big]\n}\n")
			peer, name := exec.Command("sort", "-V", "-u", "-o", filepath.Join(dir, "sorted"), file), "sort"
			if path, err := exec.LookPath("iprange"); err == nil && !list.v6 {
				peer, name = exec.Command(path, file), "iprange"
			}
			compare(b, exec.Command(command, "compile", "-q", policy, "-o", filepath.Join(dir, "out")), peer, name)
		})
	}
}

// BenchmarkFleetProcess measures whole runs of compile for a fleet with 200 rules and one list
// of 100,000 addresses. With "own rule" each host has a rule that no other has. Time grows with
// the hosts, memory does not.
func BenchmarkFleetProcess(b *testing.B) {
	dir, command := b.TempDir(), buildCommand(b)
	writeFile(b, filepath.Join(dir, "list.txt"), addressList(100_000))
	for _, fleet := range []struct {
		hosts   int
		ownRule bool
	}{{10, false}, {100, false}, {1000, false}, {10, true}, {100, true}, {1000, true}} {
		b.Run(fmt.Sprintf("hosts=%d/own=%t", fleet.hosts, fleet.ownRule), func(b *testing.B) {
			policy := filepath.Join(dir, "policy.hcl")
			writeFile(b, policy, fleetPolicy(fleet.hosts, 200, fleet.ownRule))
			compare(b, exec.Command(command, "compile", "-q", policy, "-o", filepath.Join(dir, "out")), nil, "")
		})
	}
}

// BenchmarkRulesProcess measures whole runs of compile, check and diff on accepts that have a
// source and a published port each. The peer is ferm, which only translates the same rules of
// FORWARD to iptables-restore; dockerfw also protects INPUT and proves both families. Where ferm
// is not installed there is no peer. The newer version of diff has other ports in 0.1 % of the rules.
func BenchmarkRulesProcess(b *testing.B) {
	dir, command := b.TempDir(), buildCommand(b)
	for _, n := range []int{100, 1_000, 10_000} {
		before, after := filepath.Join(dir, "before.hcl"), filepath.Join(dir, "after.hcl")
		ferm := filepath.Join(dir, "rules.ferm")
		writeFile(b, before, accepts(n, 0))
		writeFile(b, after, accepts(n, max(n/1000, 1)))
		writeFile(b, ferm, acceptsForFerm(n))
		var peer *exec.Cmd
		if path, err := exec.LookPath("ferm"); err == nil {
			peer = exec.Command(path, "--noexec", "--lines", ferm)
		}
		output := filepath.Join(dir, "out")
		for _, arguments := range [][]string{
			{"compile", "-q", before, "-o", output},
			{"check", before},
			{"diff", before, after},
		} {
			b.Run(fmt.Sprintf("%s/rules=%d", arguments[0], n), func(b *testing.B) {
				compareRuns(b, exec.Command(command, arguments...), peer, "ferm", output)
			})
		}
	}
}

// BenchmarkListDiffProcess measures whole runs of diff between policies with a list of a million
// addresses, of which a hundred are others.
func BenchmarkListDiffProcess(b *testing.B) {
	dir, command := b.TempDir(), buildCommand(b)
	list := addressList(1_000_100)
	lines := strings.SplitAfter(list, "\n")
	var paths []string
	for name, text := range map[string]string{"before": strings.Join(lines[:1_000_000], ""), "after": strings.Join(lines[100:], "")} {
		writeFile(b, filepath.Join(dir, name+".txt"), text)
		path := filepath.Join(dir, name+".hcl")
		writeFile(b, path, "host {\n  external_interfaces = [\"eth0\"]\n}\nipset \"big\" {\n  files = [\""+name+".txt\"]\n}\ndeny \"big\" {\n  source = [ipset.big]\n}\n")
		paths = append(paths, path)
	}
	compareRuns(b, exec.Command(command, append([]string{"diff"}, paths...)...), nil, "", "")
}

// accepts is a policy of n accepts, of which the first moved have another port.
func accepts(n, moved int) string {
	var b strings.Builder
	b.WriteString("host {\n  external_interfaces = [\"eth0\"]\n}\n")
	for i := range n {
		source, port := clientsAndPort(i)
		if i < moved {
			port++
		}
		fmt.Fprintf(&b, "accept \"r%d\" {\n  source          = [\"%s\"]\n  protocol        = \"tcp\"\n  published_ports = [%d]\n}\n", i, source, port)
	}
	return b.String()
}

// acceptsForFerm are the rules that accepts compiles to for forwarded IPv4 packets.
func acceptsForFerm(n int) string {
	var b strings.Builder
	b.WriteString("domain (ip) table filter chain DOCKER-USER {\n  interface eth0 mod conntrack ctstate (RELATED ESTABLISHED) ACCEPT;\n")
	for i := range n {
		source, port := clientsAndPort(i)
		fmt.Fprintf(&b, "  interface eth0 proto tcp saddr %s mod conntrack ctstate DNAT ctorigdstport %d ctdir ORIGINAL mod comment comment \"dockerfw accept r%d\" ACCEPT;\n", source, port, i)
	}
	b.WriteString("  interface eth0 DROP;\n}\n")
	return b.String()
}

func clientsAndPort(i int) (source string, port int) {
	return fmt.Sprintf("%d.%d.%d.0/24", 11+i*7%200, i*13%256, i*29%256), 1 + i*37%60000
}

// buildCommand returns the path of the command, built for the benchmark.
func buildCommand(b *testing.B) string {
	b.Helper()
	command := filepath.Join(b.TempDir(), "dockerfw")
	if out, err := exec.Command("go", "build", "-o", command, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return command
}

// compare is compareRuns for compile, whose last argument is the output folder.
func compare(b *testing.B, ours, peer *exec.Cmd, name string) {
	compareRuns(b, ours, peer, name, ours.Args[len(ours.Args)-1])
}

// compareRuns runs both commands in turn, each time without the output folder of the last run, and
// reports CPU time, elapsed time and memory of ours, and the ratios of CPU times and of elapsed
// times. The peer may be nil, and output may be "".
func compareRuns(b *testing.B, ours, peer *exec.Cmd, name, output string) {
	run := func(c *exec.Cmd) (cpu, elapsed time.Duration, kilobytes int64) {
		again := exec.Command(c.Path, c.Args[1:]...)
		var errors strings.Builder
		again.Stderr = &errors
		start := time.Now()
		// Exit code 1 of check and diff is a finding.
		if err := again.Run(); err != nil && again.ProcessState.ExitCode() != 1 {
			b.Fatalf("%s: %v: %s", c, err, errors.String())
		}
		elapsed = time.Since(start)
		state := again.ProcessState
		return state.UserTime() + state.SystemTime(), elapsed, state.SysUsage().(*syscall.Rusage).Maxrss
	}
	var cpu, elapsed, peerCPU, peerElapsed time.Duration
	var memory int64
	for b.Loop() {
		if output != "" {
			if err := os.RemoveAll(output); err != nil {
				b.Fatal(err)
			}
		}
		c, e, kilobytes := run(ours)
		cpu, elapsed, memory = cpu+c, elapsed+e, max(memory, kilobytes)
		if peer != nil {
			c, e, _ = run(peer)
			peerCPU, peerElapsed = peerCPU+c, peerElapsed+e
		}
	}
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/run")
	b.ReportMetric(elapsed.Seconds()/float64(b.N), "s/run")
	b.ReportMetric(float64(memory)/1024, "MB")
	if peer != nil {
		b.ReportMetric(cpu.Seconds()/peerCPU.Seconds(), "cpu/"+name)
		b.ReportMetric(elapsed.Seconds()/peerElapsed.Seconds(), "elapsed/"+name)
	}
}

// fleetPolicy returns a policy for a fleet, whose hosts differ only in their names unless each
// has a rule of its own.
func fleetPolicy(hosts, rules int, ownRule bool) string {
	var b strings.Builder
	for i := range hosts {
		fmt.Fprintf(&b, "host \"web%d\" {\n  external_interfaces = [\"eth0\"]\n  variables = { number = %d }\n}\n", i, i)
	}
	b.WriteString("variable \"number\" {\n  type = number\n}\nipset \"big\" {\n  files = [\"list.txt\"]\n}\ndeny \"big\" {\n  source = [ipset.big]\n}\n")
	for i := range 10 {
		fmt.Fprintf(&b, "ipset \"s%d\" {\n  entries = [\"192.0.2.%d\", \"10.%d.0.0/16\", \"2001:db8:%d::/48\"]\n}\n", i, i, i, i)
	}
	for i := range rules {
		fmt.Fprintf(&b, "accept \"r%d\" {\n  protocol        = \"tcp\"\n  published_ports = [%d]\n  source          = [ipset.s%d]\n}\n", i, 1000+i, i%10)
	}
	if ownRule {
		b.WriteString("accept \"own\" {\n  protocol        = \"tcp\"\n  published_ports = [20000 + var.number]\n}\n")
	}
	return b.String()
}

// addressList is a list of single addresses of which no two merge.
func addressList(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d.%d.%d.%d\n", 11+i>>23, i>>15&255, i>>7&255, i<<1&255|1)
	}
	return b.String()
}

// mixedList is a list of random addresses, networks and ranges, in no order.
func mixedList(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	address := func(a uint32) string { return fmt.Sprintf("%d.%d.%d.%d", a>>24, a>>16&255, a>>8&255, a&255) }
	var b strings.Builder
	for range n {
		a := random.Uint32N(222<<24) + 1<<24
		switch k := random.IntN(20); {
		case k < 12:
			b.WriteString(address(a))
		case k < 17:
			bits := 16 + random.IntN(15)
			fmt.Fprintf(&b, "%s/%d", address(a>>(32-bits)<<(32-bits)), bits)
		default:
			b.WriteString(address(a) + "-" + address(a+random.Uint32N(300)))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// mixedList6 is mixedList for IPv6.
func mixedList6(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for range n {
		network := fmt.Sprintf("2001:db8:%x:%x", random.IntN(1<<16), random.IntN(1<<16))
		switch k := random.IntN(20); {
		case k < 12:
			fmt.Fprintf(&b, "%s::%x\n", network, 1+random.IntN(1<<16-1))
		case k < 17:
			fmt.Fprintf(&b, "%s::/64\n", network)
		default:
			first := 1 + random.IntN(1<<15)
			fmt.Fprintf(&b, "%s::%x-%s::%x\n", network, first, network, first+random.IntN(200))
		}
	}
	return b.String()
}

func writeFile(b *testing.B, name, text string) {
	b.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}
