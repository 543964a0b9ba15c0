package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// The benchmarks of whole processes that docs/performance.md is made of have the name
// BenchmarkUNITProcess/SERIES/UNIT=SIZE. Sizes grow tenfold; the largest ones run with
// DOCKERFW_GROWTH=1 only. The ratios of CPU times are comparable between machines, also under load.

// sizes are the powers of ten from first to bounded, with DOCKERFW_GROWTH=1 to last.
func sizes(first, bounded, last int) []int {
	if testenv.Growth() {
		bounded = last
	}
	var out []int
	for n := first; n <= bounded; n *= 10 {
		out = append(out, n)
	}
	return out
}

// BenchmarkRulesProcess measures whole runs of compile, check and diff on accepts that have a
// source and a published port each. All are of 1,000 ports; only in the series "compile-ports" each has
// a port of its own, and its rules of iptables reach the budget of 200,000 at 30,000 accepts. The
// peers process the same rules of FORWARD in IPv4: ferm and foomuuri translate them, and
// iptables-restore and nft check them; dockerfw also protects INPUT and proves both families. The newer
// version of diff has other ports in 0.1 % of the rules.
func BenchmarkRulesProcess(b *testing.B) {
	dir, command, peers := b.TempDir(), buildCommand(b), findPeers(b)
	before, after, output := filepath.Join(dir, "before"), filepath.Join(dir, "after"), filepath.Join(dir, "out")
	compile := []string{"compile", "-q", before, "-o", output}
	for _, series := range []struct {
		name      string
		rule      clientRule
		sizes     []int
		arguments []string
		peers     []string
	}{
		{"compile", ofFewPorts, sizes(10, 10_000, 100_000), compile, []string{"ferm", "foomuuri", "iptables-restore", "nft"}},
		{"check", ofFewPorts, sizes(10, 10_000, 100_000), []string{"check", before}, []string{"iptables-restore", "nft"}},
		{"diff", ofFewPorts, sizes(10, 10_000, 100_000), []string{"diff", before, after}, nil},
		{"compile-ports", ofOwnPort, sizes(10, 10_000, 10_000), compile, []string{"ferm", "foomuuri", "iptables-restore", "nft"}},
	} {
		slow := map[string]bool{}
		for _, n := range series.sizes {
			b.Run(fmt.Sprintf("%s/rules=%d", series.name, n), func(b *testing.B) {
				writeAccepts(b, before, n, 0, series.rule)
				writeAccepts(b, after, n, max(n/1000, 1), series.rule)
				runs := peers.onRules(b, dir, n, series.rule, series.peers, slow)
				compareRuns(b, exec.Command(command, series.arguments...), runs, output, slow)
			})
		}
	}
}

// BenchmarkEntriesProcess measures whole runs of compile and diff with long lists of addresses, at
// most a million in each set. The peers are iprange, which only merges, and nft, which checks a
// set of the same entries; in IPv6, where iprange does not read the list, and where it is missing,
// sort(1). Of the list that diff compares, one in ten thousand entries is another.
func BenchmarkEntriesProcess(b *testing.B) {
	dir, command, peers := b.TempDir(), buildCommand(b), findPeers(b)
	before, after, output := filepath.Join(dir, "before"), filepath.Join(dir, "after"), filepath.Join(dir, "out")
	compile := []string{"compile", "-q", before, "-o", output}
	for _, series := range []struct {
		name      string
		list      func(n int) string
		sizes     []int
		arguments []string
		peers     []string
	}{
		{"compile", addressList, sizes(1_000, 1_000_000, 10_000_000), compile, []string{"iprange", "nft"}},
		{"compile-mixed", mixedList, sizes(1_000, 1_000_000, 10_000_000), compile, []string{"iprange", "nft"}},
		{"compile-mixed6", mixedList6, sizes(1_000, 1_000_000, 10_000_000), compile, []string{"sort"}},
		{"diff", addressList, sizes(1_000, 1_000_000, 10_000_000), []string{"diff", before, after}, nil},
	} {
		slow := map[string]bool{}
		for _, n := range series.sizes {
			b.Run(fmt.Sprintf("%s/entries=%d", series.name, n), func(b *testing.B) {
				changed := max(n/10_000, 1)
				lines := strings.SplitAfter(series.list(n+changed), "\n")
				files := writeLists(b, before, lines[:n])
				if series.name == "diff" {
					writeLists(b, after, lines[changed:n+changed])
				}
				lines = nil // before forgetPeak
				runs := peers.onLists(b, dir, n, files, series.peers, slow)
				compareRuns(b, exec.Command(command, series.arguments...), runs, output, slow)
			})
		}
	}
}

// BenchmarkHostsProcess measures whole runs of compile and diff for a fleet with 20 rules and a list of
// 1,000 addresses. Where the series ends in "-own" each host has a rule that no other has. The newer version
// of diff has another port in one rule.
func BenchmarkHostsProcess(b *testing.B) {
	dir, command := b.TempDir(), buildCommand(b)
	findPeers(b)
	policy, newer, output := filepath.Join(dir, "policy.hcl"), filepath.Join(dir, "newer.hcl"), filepath.Join(dir, "out")
	writeFile(b, filepath.Join(dir, "list.txt"), addressList(1_000))
	compile, diff := []string{"compile", "-q", policy, "-o", output}, []string{"diff", policy, newer}
	for _, series := range []struct {
		name      string
		ownRule   bool
		sizes     []int
		arguments []string
	}{
		{"compile", false, sizes(1, 1_000, 10_000), compile},
		{"compile-own", true, sizes(1, 1_000, 10_000), compile},
		{"diff-own", true, sizes(1, 100, 1_000), diff},
	} {
		for _, n := range series.sizes {
			b.Run(fmt.Sprintf("%s/hosts=%d", series.name, n), func(b *testing.B) {
				text := fleetPolicy(n, 20, series.ownRule)
				writeFile(b, policy, text)
				writeFile(b, newer, strings.Replace(text, "[1005]", "[1505]", 1))
				compareRuns(b, exec.Command(command, series.arguments...), nil, output, nil)
			})
		}
	}
}

// BenchmarkFleetProcess measures whole runs of compile for a fleet with 200 rules and one list
// of 100,000 addresses. With "own rule" each host has a rule that no other has. Time grows with
// the hosts, memory does not.
func BenchmarkFleetProcess(b *testing.B) {
	dir, command := b.TempDir(), buildCommand(b)
	policy, output := filepath.Join(dir, "policy.hcl"), filepath.Join(dir, "out")
	writeFile(b, filepath.Join(dir, "list.txt"), addressList(100_000))
	for _, fleet := range []struct {
		hosts   int
		ownRule bool
	}{{10, false}, {100, false}, {1000, false}, {10, true}, {100, true}, {1000, true}} {
		b.Run(fmt.Sprintf("hosts=%d/own=%t", fleet.hosts, fleet.ownRule), func(b *testing.B) {
			writeFile(b, policy, fleetPolicy(fleet.hosts, 200, fleet.ownRule))
			compareRuns(b, exec.Command(command, "compile", "-q", policy, "-o", output), nil, output, nil)
		})
	}
}

// perFile is the number of accepts in a file of a policy, which has at most 8 MiB.
const perFile = 10_000

// writeAccepts writes a policy of n accepts, of which the first moved have another port.
func writeAccepts(b *testing.B, dir string, n, moved int, rule clientRule) {
	b.Helper()
	emptyFolder(b, dir)
	writeFile(b, filepath.Join(dir, "host.hcl"), "host {\n  external_interfaces = [\"eth0\"]\n}\n")
	for first := 0; first < n; first += perFile {
		var text strings.Builder
		for i := first; i < min(first+perFile, n); i++ {
			source, port := rule(i)
			if i < moved {
				port++
			}
			fmt.Fprintf(&text, "accept \"r%d\" {\n  source          = [\"%s\"]\n  protocol        = \"tcp\"\n  published_ports = [%d]\n}\n", i, source, port)
		}
		writeFile(b, filepath.Join(dir, fmt.Sprintf("rules%d.hcl", first/perFile)), text.String())
	}
}

// clientRule returns the clients and the published port of an accept.
type clientRule func(i int) (source string, port int)

// ofFewPorts is of 1,000 ports. No two rules have the same clients.
func ofFewPorts(i int) (source string, port int) {
	network := i * 7919 % (200 << 16)
	return fmt.Sprintf("%d.%d.%d.0/24", 11+network>>16, network>>8&255, network&255), 1 + i*37%1000
}

func ofOwnPort(i int) (source string, port int) {
	return fmt.Sprintf("%d.%d.%d.0/24", 11+i*7%200, i*13%256, i*29%256), 1 + i*37%60000
}

// writeLists writes a policy that denies the addresses of a list, a million in each set, and
// returns the files of the list.
func writeLists(b *testing.B, dir string, lines []string) (files []string) {
	b.Helper()
	const perSet = 1_000_000
	emptyFolder(b, dir)
	text := "host {\n  external_interfaces = [\"eth0\"]\n}\n"
	for i := 0; i*perSet < len(lines); i++ {
		name := fmt.Sprintf("list%d", i)
		files = append(files, filepath.Join(dir, name+".txt"))
		writeFile(b, files[i], strings.Join(lines[i*perSet:min((i+1)*perSet, len(lines))], ""))
		text += fmt.Sprintf("ipset %[1]q {\n  files = [%[2]q]\n}\ndeny %[1]q {\n  source = [ipset.%[1]s]\n}\n", name, name+".txt")
	}
	writeFile(b, filepath.Join(dir, "policy.hcl"), text)
	return files
}

func emptyFolder(b *testing.B, dir string) {
	b.Helper()
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		b.Fatal(err)
	}
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

// enough is the CPU time of a peer after which it is left out for the next size: that would take
// ten times as long, and mostly as much memory.
const enough = 5 * time.Second

// compareRuns runs ours and the peers in turn, each time without the output folder of the last run.
// It reports CPU time, elapsed time and memory of ours, the ratios of CPU times and of elapsed times
// to each peer, and how much of the machine's CPU time other processes took. It adds slow peers to slow.
func compareRuns(b *testing.B, ours *exec.Cmd, peers []peerRun, output string, slow map[string]bool) {
	type total struct {
		cpu, elapsed time.Duration
		kilobytes    int64
	}
	run := func(c *exec.Cmd, t *total) {
		again := exec.Command(c.Path, c.Args[1:]...)
		again.Env, again.SysProcAttr = c.Env, c.SysProcAttr
		var errors strings.Builder
		again.Stderr = &errors
		start := time.Now()
		// Exit code 1 of check and diff is a finding.
		if err := again.Run(); err != nil && (c != ours || again.ProcessState.ExitCode() != 1) {
			b.Fatalf("%s: %v: %s", c, err, errors.String())
		}
		t.elapsed += time.Since(start)
		state := again.ProcessState
		t.cpu += state.UserTime() + state.SystemTime()
		t.kilobytes = max(t.kilobytes, state.SysUsage().(*syscall.Rusage).Maxrss)
	}
	removeOutput := func() {
		if output == "" {
			return
		}
		if err := os.RemoveAll(output); err != nil {
			b.Fatal(err)
		}
	}
	removeOutput() // that of a benchmark before can take seconds, with which there would be one run
	forgetPeak(b)
	var mine total
	theirs := make([]total, len(peers))
	machine, start := machineCPU(b), time.Now()
	for b.Loop() {
		removeOutput()
		run(ours, &mine)
		for i, p := range peers {
			run(p.command, &theirs[i])
		}
	}
	others := machineCPU(b) - machine
	b.ReportMetric(100*max(others.Seconds(), 0)/time.Since(start).Seconds()/float64(runtime.NumCPU()), "others-%")
	b.ReportMetric(mine.cpu.Seconds()/float64(b.N), "cpu-s/run")
	b.ReportMetric(mine.elapsed.Seconds()/float64(b.N), "s/run")
	b.ReportMetric(float64(mine.kilobytes)/1024, "MB")
	for i, p := range peers {
		b.ReportMetric(mine.cpu.Seconds()/theirs[i].cpu.Seconds(), "cpu/"+p.name)
		b.ReportMetric(mine.elapsed.Seconds()/theirs[i].elapsed.Seconds(), "elapsed/"+p.name)
		if theirs[i].cpu/time.Duration(b.N) > enough {
			slow[p.name] = true
		}
	}
}

// forgetPeak frees the memory that was needed to write the input, and lets the kernel forget that it was
// used: a child process begins with the peak of its parent.
func forgetPeak(b *testing.B) {
	b.Helper()
	debug.FreeOSMemory()
	const resetPeak = "5"
	if err := os.WriteFile("/proc/self/clear_refs", []byte(resetPeak), 0); err != nil {
		b.Fatal(err)
	}
}

// machineCPU returns the CPU time of all processes except this one and those that it has waited for.
func machineCPU(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	const tick = 10 * time.Millisecond // of /proc/stat, in user space always
	line, _, _ := strings.Cut(string(stat), "\n")
	var cpu time.Duration
	for i, field := range strings.Fields(line)[1:] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatalf("/proc/stat: %v", err)
		}
		// Neither idle nor waiting for disks; guests are also in the first two.
		if i != 3 && i != 4 && i < 8 {
			cpu += time.Duration(n) * tick
		}
	}
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			b.Fatal(err)
		}
		cpu -= time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return cpu
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
