//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// engineLimit bounds each start and stop of an engine.
const engineLimit = 2 * time.Minute

// EngineOptions configures an engine. The zero value has Docker's default settings
// on iptables-nft.
type EngineOptions struct {
	Backend Backend // NFT if empty

	// IPv6 adds fd00:200::/64 to the default bridge and turns on ip6tables.
	IPv6 bool

	// Config has additional keys of daemon.json, such as "userland-proxy": false. A nil value
	// removes a key that the lab sets itself.
	Config map[string]any

	// Environment has additional variables of dockerd: "NAME=VALUE".
	Environment []string

	// Dockerd is the path of another dockerd, with containerd, runc and
	// docker-proxy beside it. The default is testenv.Dockerd.
	Dockerd string

	// Root is the root directory of another distribution, as debootstrap
	// makes it: its engine and its iptables run instead of this machine's.
	// The default is testenv.EngineRoot.
	Root string
}

// Engine is a Docker engine on the lab's host. Its default bridge is
// 10.200.0.1/24.
type Engine struct {
	Version string // of dockerd: "20.10.24"

	// Tools is the network namespace of the host with the file system of the
	// engine: EngineOptions.Root changes the iptables that it runs.
	Tools *Namespace

	t          testing.TB
	lab        *Lab
	cell       *cell
	path       string // PATH of the engine
	dockerd    string
	log        string
	config     string // the docker command's configuration directory
	variables  []string
	containers []*Container
	daemon     *daemon
	firewalls  bool // AddFirewalls was called
}

// daemon is one run of dockerd.
type daemon struct {
	ended chan struct{}
	err   error // once ended
}

// StartEngine starts an engine on the lab's host; it ends with the test.
func (lab *Lab) StartEngine(options EngineOptions) *Engine {
	lab.t.Helper()
	engine := lab.NewEngine(options)
	engine.Start()
	return engine
}

// NewEngine prepares an engine that has never run: its Tools can already load
// rules, as a host does at boot. Start starts it. The versions become attributes
// of the test ("engine", "backend", "iptables" and "ipset"), which command
// enginematrix reads.
func (lab *Lab) NewEngine(options EngineOptions) *Engine {
	t := lab.t
	t.Helper()
	if options.Backend == "" {
		options.Backend = NFT
	}
	if options.Dockerd == "" {
		options.Dockerd = testenv.Dockerd()
	}
	if options.Root == "" {
		options.Root = testenv.EngineRoot()
	}
	Require(t, "docker", "busybox", "chroot", "mount")
	if options.Dockerd == "" {
		options.Dockerd = "dockerd"
		if options.Root == "" {
			Require(t, "dockerd", "containerd", "runc", options.Backend.Tool(4, ""), "ipset")
		}
	}

	lab.engines++
	cgroup := fmt.Sprintf("%s-engine%d", lab.Host.Namespace.Name, lab.engines)
	scratch := t.TempDir()
	t.Cleanup(func() {
		if err := removeCgroups(cgroup); err != nil {
			t.Errorf("left over: %v", err)
		}
	})
	home := newCell(t, lab.Host.Namespace, options.Root)
	engine := &Engine{
		Tools:   home.Namespace,
		t:       t,
		lab:     lab,
		cell:    home,
		path:    cellMount + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		dockerd: options.Dockerd,
		log:     filepath.Join(scratch, "dockerd.log"),
		config:  filepath.Join(scratch, "docker"),

		variables: options.Environment,
	}
	if beside := filepath.Dir(options.Dockerd); beside != "." {
		engine.path = beside + ":" + engine.path
	}
	engine.linkTools(options.Backend)
	engine.writeConfig(options, cgroup)
	engine.Version = engine.toolVersion(options, "dockerd")
	for name, value := range map[string]string{
		"engine":   engine.Version,
		"backend":  string(options.Backend),
		"iptables": engine.toolVersion(options, "iptables"),
		"ipset":    engine.toolVersion(options, "ipset"),
	} {
		t.Attr(name, value)
	}
	return engine
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// toolVersions are known versions: those of a program of the root directory, dockerd and backend of
// an engine.
var toolVersions sync.Map

// toolVersion returns the version of one of the engine's programs, which each test process asks once.
func (e *Engine) toolVersion(options EngineOptions, tool string) string {
	e.t.Helper()
	key := [4]string{options.Root, options.Dockerd, string(options.Backend), tool}
	if known, ok := toolVersions.Load(key); ok {
		return known.(string)
	}
	text := e.Tools.MustRun("env", "PATH="+e.path, tool, "--version")
	version := versionNumber.FindString(text)
	if version == "" {
		e.t.Fatalf("no version in %s --version: %q", tool, text)
	}
	toolVersions.Store(key, version)
	return version
}

// Before reports whether the engine is older than a major version.
func (e *Engine) Before(major int) bool {
	e.t.Helper()
	text, _, _ := strings.Cut(e.Version, ".")
	own, err := strconv.Atoi(text)
	if err != nil {
		e.t.Fatal(err)
	}
	return own < major
}

// linkTools makes iptables a link to the backend, as update-alternatives does.
func (e *Engine) linkTools(backend Backend) {
	e.t.Helper()
	for _, family := range []int{4, 6} {
		for _, suffix := range []string{"", "-save", "-restore"} {
			link := e.cell.file("bin/" + ipTables(family) + suffix)
			if err := os.Symlink("/usr/sbin/"+backend.Tool(family, suffix), link); err != nil {
				e.t.Fatal(err)
			}
		}
	}
}

func (e *Engine) writeConfig(options EngineOptions, cgroup string) {
	e.t.Helper()
	config := map[string]any{
		"bip":            "10.200.0.1/24",
		"cgroup-parent":  "/" + cgroup,
		"data-root":      cellMount + "/data",
		"exec-opts":      []string{"native.cgroupdriver=cgroupfs"},
		"exec-root":      cellMount + "/exec",
		"hosts":          []string{"unix://" + cellMount + "/docker.sock"},
		"pidfile":        cellMount + "/docker.pid",
		"storage-driver": "vfs",
	}
	if options.IPv6 {
		config["ipv6"] = true
		config["fixed-cidr-v6"] = "fd00:200::/64"
		config["ip6tables"] = true
		config["experimental"] = true // ip6tables required it before 27
	}
	maps.Copy(config, options.Config)
	maps.DeleteFunc(config, func(_ string, value any) bool { return value == nil })
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(e.cell.file("daemon.json"), text, 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// Start starts dockerd, for the first time or again after Stop or Kill, and
// waits until it answers and its containers run again.
func (e *Engine) Start() {
	e.t.Helper()
	first := e.daemon == nil
	log, err := os.OpenFile(e.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		e.t.Fatal(err)
	}
	defer log.Close()
	args := e.cell.command(slices.Concat([]string{"env", "PATH=" + e.path, "XTABLES_LOCKFILE=" + e.cell.lock},
		e.variables, []string{e.dockerd, "--config-file=" + cellMount + "/daemon.json"})...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		e.t.Fatalf("dockerd: %v", err)
	}
	run := &daemon{ended: make(chan struct{})}
	e.daemon = run
	go func() {
		run.err = cmd.Wait()
		close(run.ended)
	}()
	e.t.Cleanup(func() {
		e.cell.end()
		<-run.ended
	})

	e.waitUntilReady(run)
	e.lab.bridgeOnly()
	if first {
		e.importImage()
	}
	for _, container := range e.containers {
		container.refresh()
	}
}

func (e *Engine) waitUntilReady(run *daemon) {
	e.t.Helper()
	client := http.Client{
		Timeout: engineLimit,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", e.cell.file("docker.sock"))
			},
		},
	}
	deadline := time.Now().Add(engineLimit)
	for {
		if answer, err := client.Get("http://engine/_ping"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-run.ended:
			e.t.Fatalf("dockerd ended at its start: %v\n%s", run.err, e.logTail())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("dockerd does not answer after %s\n%s", engineLimit, e.logTail())
		}
	}
}

// Stop terminates dockerd, and its containers unless Config has "live-restore",
// and returns when it has ended. The rules stay.
func (e *Engine) Stop() {
	e.t.Helper()
	e.signal("TERM")
}

// Kill kills dockerd, which cannot clean up. Containers continue.
func (e *Engine) Kill() {
	e.t.Helper()
	e.signal("KILL")
}

func (e *Engine) signal(name string) {
	e.t.Helper()
	e.Tools.MustRun("sh", "-c", "kill -"+name+" $(cat "+cellMount+"/docker.pid)")
	select {
	case <-e.daemon.ended:
	case <-time.After(engineLimit):
		e.t.Fatalf("dockerd has not ended %s after SIG%s\n%s", engineLimit, name, e.logTail())
	}
}

func (e *Engine) logTail() string {
	text, _ := os.ReadFile(e.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "end of dockerd's log:\n" + strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// Docker runs the docker command and returns its stdout; it fails the test if
// the command fails.
func (e *Engine) Docker(args ...string) string {
	e.t.Helper()
	return e.docker("", args...)
}

func (e *Engine) docker(stdin string, args ...string) string {
	e.t.Helper()
	stdout, stderr, err := e.run(stdin, args...)
	if err != nil {
		e.t.Fatalf("docker %s: %v: %s\n%s", strings.Join(args, " "), err, strings.TrimSpace(stderr), e.logTail())
	}
	return strings.TrimSpace(stdout)
}

func (e *Engine) run(stdin string, args ...string) (stdout, stderr string, err error) {
	env := []string{
		"DOCKER_HOST=unix://" + e.cell.file("docker.sock"),
		"DOCKER_CONFIG=" + e.config,
		"DOCKER_CONTEXT=",
	}
	return runBounded((*exec.Cmd).Start, stdin, env, append([]string{"docker"}, args...)...)
}

// CreateNetwork creates a bridge network with the device br-NAME. Without
// subnet6 it has IPv4 only. Flags are more flags of docker network create.
func (e *Engine) CreateNetwork(name, subnet4, subnet6 string, flags ...string) {
	e.t.Helper()
	args := []string{"network", "create", "--subnet", subnet4, "--opt", "com.docker.network.bridge.name=br-" + name}
	args = append(args, flags...)
	if subnet6 != "" {
		args = append(args, "--ipv6", "--subnet", subnet6)
	}
	e.Docker(append(args, name)...)
}
