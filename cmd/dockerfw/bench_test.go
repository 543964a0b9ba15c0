package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// BenchmarkProcess times whole runs of the command, and runs of sort(1) over the same
// addresses: the ratio is comparable between machines.
func BenchmarkProcess(b *testing.B) {
	dir := b.TempDir()
	command := filepath.Join(dir, "dockerfw")
	if out, err := exec.Command("go", "build", "-o", command, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for _, addresses := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("addresses=%d", addresses), func(b *testing.B) {
			list := filepath.Join(dir, "list.txt")
			writeFile(b, list, addressList(addresses))
			policy := filepath.Join(dir, "policy.hcl")
			writeFile(b, policy, "host {\n  external_interfaces = [\"eth0\"]\n}\nipset \"big\" {\n  files = [\"list.txt\"]\n}\ndeny \"big\" {\n  source = [ipset.big]\n}\n")
			compare(b,
				exec.Command(command, "compile", "-q", policy, "-o", filepath.Join(dir, "out")),
				exec.Command("sort", "-V", "-u", "-o", filepath.Join(dir, "sorted"), list))
		})
	}
}

// compare runs both commands in turn, and reports the ratio of their times.
func compare(b *testing.B, ours, theirs *exec.Cmd) {
	run := func(c *exec.Cmd) time.Duration {
		again := exec.Command(c.Path, c.Args[1:]...)
		start := time.Now()
		if out, err := again.CombinedOutput(); err != nil {
			b.Fatalf("%s: %v: %s", c, err, out)
		}
		return time.Since(start)
	}
	var a, other time.Duration
	for b.Loop() {
		a += run(ours)
		other += run(theirs)
	}
	b.ReportMetric(a.Seconds()/float64(b.N), "s/compile")
	b.ReportMetric(a.Seconds()/other.Seconds(), "compile/sort")
}

// addressList is a list of single addresses of which no two merge.
func addressList(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d.%d.%d.%d\n", 11+i>>23, i>>15&255, i>>7&255, i<<1&255|1)
	}
	return b.String()
}

func writeFile(b *testing.B, name, text string) {
	b.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}
