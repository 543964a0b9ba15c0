package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// peers are the programs that the benchmarks compare with, by name; those that are missing are not
// in it.
type peers map[string]*exec.Cmd

// peerNames are in the order of the tables. Those that ask the kernel run in a network namespace that
// ends with them, for which they need root: none sees the tables of the machine.
var peerNames = []struct {
	name       string
	asksKernel bool
}{{"ferm", false}, {"foomuuri", true}, {"iptables-restore", true}, {"nft", true}, {"iprange", false}, {"sort", false}}

// peerRun is a peer with its input.
type peerRun struct {
	name    string
	command *exec.Cmd
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// findPeers finds the peers, installed or unpacked by make peers, and prints their versions and what
// else the results depend on, as "key: value", which is the form that go test uses for such lines.
func findPeers(b *testing.B) peers {
	b.Helper()
	root := testenv.Peers()
	// The packages that make peers unpacks have their libraries beside them.
	unpacked := append(os.Environ(), "PYTHONPATH="+filepath.Join(root, "usr/lib/python3/dist-packages"))
	libraries, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu"))
	for _, dir := range libraries {
		unpacked = append(unpacked, "LD_LIBRARY_PATH="+dir, "GI_TYPELIB_PATH="+filepath.Join(dir, "girepository-1.0"))
	}
	found := peers{}
	for _, peer := range peerNames {
		command := &exec.Cmd{}
		path, err := exec.LookPath(peer.name)
		for _, dir := range []string{"usr/sbin", "usr/bin"} {
			if err != nil {
				path, err = exec.LookPath(filepath.Join(root, dir, peer.name))
				command.Env = unpacked
			}
		}
		if peer.asksKernel {
			command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		}
		version := "missing"
		if command.Path = path; err == nil {
			probe := *command
			probe.Args = []string{path, "--version"}
			// The exit code of iprange is 1; a Python program that lacks a module prints nothing here.
			out, _ := probe.Output()
			if number := versionNumber.Find(out); number != nil {
				found[peer.name], version = command, string(number)
			}
		}
		fmt.Printf("%s: %s\n", peer.name, version)
	}
	fmt.Printf("os: %s\nkernel: %s\nmemory: %s\n", lineOf(b, "/etc/os-release", `(?m)^PRETTY_NAME="(.*)"`),
		lineOf(b, "/proc/sys/kernel/osrelease", `^([\d.]+)`), lineOf(b, "/proc/meminfo", `MemTotal: *(.*)`))
	return found
}

// lineOf returns what the group of a pattern matches in a file.
func lineOf(b *testing.B, file, pattern string) string {
	b.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	match := regexp.MustCompile(pattern).FindSubmatch(text)
	if match == nil {
		b.Fatalf("%s: no %s", file, pattern)
	}
	return string(match[1])
}

// run returns a run of a peer.
func (p peers) run(name string, arguments ...string) peerRun {
	command := *p[name]
	command.Args = append([]string{command.Path}, arguments...)
	return peerRun{name, &command}
}

// onRules returns runs of those of the named peers that are there, and not slow, on n rules.
func (p peers) onRules(b *testing.B, dir string, n int, rule clientRule, names []string, slow map[string]bool) []peerRun {
	b.Helper()
	var out []peerRun
	for _, name := range names {
		if p[name] == nil || slow[name] {
			continue
		}
		input := filepath.Join(dir, "rules."+name)
		var run peerRun
		switch name {
		case "ferm":
			writeFile(b, input, acceptsForFerm(n, rule))
			run = p.run(name, "--noexec", "--lines", input)
		case "foomuuri":
			emptyFolder(b, input)
			writeFile(b, filepath.Join(input, "rules.conf"), acceptsForFoomuuri(n, rule))
			share := filepath.Join(filepath.Dir(p[name].Path), "../share/foomuuri")
			run = p.run(name, "--set=etc_dir="+input, "--set=share_dir="+share, "--set=state_dir="+dir, "--set=run_dir="+dir, "check")
		case "iptables-restore":
			writeFile(b, input, acceptsForIptables(n, rule))
			run = p.run(name, "--test", input)
		case "nft":
			writeFile(b, input, acceptsForNFT(n, rule))
			run = p.run(name, "-c", "-f", input)
		default:
			b.Fatalf("%s has no rules", name)
		}
		out = append(out, run)
	}
	return out
}

// mostForNFT is the number of entries above which nft is left out: for ten million it needs over 7 GB.
const mostForNFT = 1_000_000

// onLists is onRules for the lists of n addresses in some files. Instead of a first peer that is missing
// it is sort.
func (p peers) onLists(b *testing.B, dir string, n int, files, names []string, slow map[string]bool) []peerRun {
	b.Helper()
	var out []peerRun
	for i, name := range names {
		if i == 0 && p[name] == nil {
			name = "sort"
		}
		if p[name] == nil || slow[name] || name == "nft" && n > mostForNFT {
			continue
		}
		switch name {
		case "iprange":
			out = append(out, p.run(name, files...))
		case "sort":
			out = append(out, p.run(name, append([]string{"-V", "-u", "-o", filepath.Join(dir, "sorted")}, files...)...))
		case "nft":
			input := filepath.Join(dir, "set.nft")
			writeSetForNFT(b, input, files)
			out = append(out, p.run(name, "-c", "-f", input))
		default:
			b.Fatalf("%s has no lists", name)
		}
	}
	return out
}

// acceptsForFerm are the rules that accepts compile to for forwarded IPv4 packets.
func acceptsForFerm(n int, rule clientRule) string {
	var b strings.Builder
	b.WriteString("domain (ip) table filter chain DOCKER-USER {\n  interface eth0 mod conntrack ctstate (RELATED ESTABLISHED) ACCEPT;\n")
	for i := range n {
		source, port := rule(i)
		fmt.Fprintf(&b, "  interface eth0 proto tcp saddr %s mod conntrack ctstate DNAT ctorigdstport %d ctdir ORIGINAL mod comment comment \"dockerfw accept r%d\" ACCEPT;\n", source, port, i)
	}
	b.WriteString("  interface eth0 DROP;\n}\n")
	return b.String()
}

// acceptsForIptables are the same rules.
func acceptsForIptables(n int, rule clientRule) string {
	var b strings.Builder
	b.WriteString("*filter\n:DOCKER-USER - [0:0]\n-A DOCKER-USER -i eth0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n")
	for i := range n {
		source, port := rule(i)
		fmt.Fprintf(&b, "-A DOCKER-USER -s %s -i eth0 -p tcp -m conntrack --ctstate DNAT --ctorigdstport %d --ctdir ORIGINAL -m comment --comment \"dockerfw accept r%d\" -j ACCEPT\n", source, port, i)
	}
	b.WriteString("-A DOCKER-USER -i eth0 -j DROP\nCOMMIT\n")
	return b.String()
}

// acceptsForNFT are the same rules.
func acceptsForNFT(n int, rule clientRule) string {
	var b strings.Builder
	b.WriteString("table inet dockerfw {\n\tchain forward {\n\t\ttype filter hook forward priority filter - 10; policy accept;\n\t\tiifname \"eth0\" ct state established,related accept\n")
	for i := range n {
		source, port := rule(i)
		fmt.Fprintf(&b, "\t\tiifname \"eth0\" ip saddr %s meta l4proto tcp ct status dnat ct direction original ct original proto-dst %d accept comment \"dockerfw accept r%d\"\n", source, port, i)
	}
	b.WriteString("\t\tiifname \"eth0\" drop\n\t}\n}\n")
	return b.String()
}

// acceptsForFoomuuri are the most similar rules of foomuuri, which has no condition on published
// ports: the ports are those of the containers.
func acceptsForFoomuuri(n int, rule clientRule) string {
	var b strings.Builder
	b.WriteString("zone {\n  localhost\n  public eth0\n  docker docker0\n}\npublic-docker {\n")
	for i := range n {
		source, port := rule(i)
		fmt.Fprintf(&b, "  tcp %d saddr %s\n", port, source)
	}
	b.WriteString("  drop\n}\n")
	return b.String()
}

// writeSetForNFT writes a set of all entries of some lists.
func writeSetForNFT(b *testing.B, name string, files []string) {
	b.Helper()
	var text strings.Builder
	text.WriteString("table inet dockerfw {\n\tset big {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\tauto-merge\n\t\telements = {\n")
	for _, file := range files {
		list, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		text.WriteString(strings.ReplaceAll(string(list), "\n", ",\n"))
	}
	text.WriteString("\t\t}\n\t}\n}\n")
	writeFile(b, name, text.String())
}
