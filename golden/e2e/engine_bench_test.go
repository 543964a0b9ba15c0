//go:build linux

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/driver"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/nftpolicy"
)

// bench is a Docker host in the lab with one policy.
type bench struct {
	*testing.T
	*lab.Lab
	engine  *lab.Engine
	backend lab.Backend
	// table compiles the policies for the target nftables.
	table bool
}

// newBench installs dockerfw on the host.
func newBench(t *testing.T, site *lab.Lab, engine *lab.Engine, backend lab.Backend) *bench {
	t.Helper()
	engine.Install(lab.Program(t))
	return &bench{T: t, Lab: site, engine: engine, backend: backend}
}

// onEngines runs a test against a real engine on each backend.
func onEngines(t *testing.T, test func(*bench)) {
	onHosts(t, nil, func(b *bench) {
		b.engine.Start()
		test(b)
	})
}

// onHosts runs a test on hosts whose engine has not run yet, on each backend. The
// configuration has more keys of daemon.json.
func onHosts(t *testing.T, configuration map[string]any, test func(*bench)) {
	t.Parallel()
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			site := lab.NewLab(t)
			engine := site.NewEngine(lab.EngineOptions{Backend: backend, IPv6: true, Config: configuration})
			test(newBench(t, site, engine, backend))
		})
	}
}

// withoutProxy is for tests of FORWARD: a UDP flow that began before a port was published would
// stay with docker-proxy, and pass INPUT instead.
var withoutProxy = map[string]any{"userland-proxy": false}

// web starts a container named web.
func (b *bench) web(publish ...string) *lab.Container {
	return b.engine.RunContainer(lab.ContainerOptions{
		Name: "web", Publish: publish, Listen: []string{"80/tcp", "81/tcp", "53/udp"},
	})
}

// load compiles a policy for the host and loads it with dockerfw apply.
func (b *bench) load(policy string) {
	b.Helper()
	b.apply(b.folder("policy", policy))
}

// folder compiles a policy into a folder that the engine's tools can read, and returns its path
// there.
func (b *bench) folder(name, policy string) string {
	b.Helper()
	if b.table {
		policy = nftpolicy.Text(policy)
	}
	return b.engine.WriteFolder(name, filesOf(b.T, policy))
}

// filesOf returns the compiled files of a policy with one host.
func filesOf(t *testing.T, policy string) map[string][]byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.hcl")
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	result, diags := driver.Policy(path, driver.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	files := map[string][]byte{}
	for _, f := range result.Hosts[0].Files {
		files[f.Name] = f.Content
	}
	return files
}

// apply runs dockerfw apply, which has to succeed, and returns its output.
func (b *bench) apply(folder string, options ...string) string {
	b.Helper()
	output, err := b.tryApply(folder, options...)
	if err != nil {
		b.Fatal(err)
	}
	return output
}

func (b *bench) tryApply(folder string, options ...string) (output string, err error) {
	return b.dockerfw(append([]string{"apply", folder}, options...)...)
}

// deployFolders make dockerfw use the lab's folders instead of /run and /var.
var deployFolders = []string{"DOCKERFW_RUN=/mnt/dockerfw-run", "DOCKERFW_STATE=/mnt/dockerfw-state"}

// dockerfw runs the program with the tools of the engine, and returns what it prints.
func (b *bench) dockerfw(args ...string) (output string, err error) {
	stdout, stderr, err := b.engine.RunTool(deployFolders, append([]string{"dockerfw"}, args...)...)
	return stdout + stderr, err
}

// try is one connection with its expected result.
type try struct {
	from    *lab.Node
	network string
	to      string
	want    lab.Result
}

// result is that of the connection, and the answer. One that has to come may take long on a busy machine.
func (c try) result() (lab.Result, string) {
	patience := lab.LongPatience
	if c.want == lab.TimedOut {
		patience = lab.Patience
	}
	return c.from.AskFor(patience, c.network, c.to)
}

// forwarded removes tries that docker-proxy would answer. Engine 20.10 on the legacy
// backend makes one IPv6 DNAT rule for each container port (docs/contributing/docker.md,
// "One IPv6 DNAT rule for each container port"): packets to a second published port of it
// pass INPUT, where these policies have no rules.
func (b *bench) forwarded(tries []try) []try {
	if b.backend != lab.Legacy {
		return tries
	}
	nat := b.engine.Tools.IPTablesSave(b.backend, 6, "nat")
	kept := slices.DeleteFunc(slices.Clone(tries), func(c try) bool {
		to := netip.MustParseAddrPort(c.to)
		return to.Addr() == b.Host.V6 && !strings.Contains(nat, fmt.Sprintf("--dport %d -j DNAT", to.Port()))
	})
	if len(kept) < len(tries) {
		if !b.engine.Before(26) {
			b.Errorf("an IPv6 port is not published by DNAT:\n%s", nat)
		}
		b.Attr("note", "not tested over IPv6: the second published port of one container port, which this engine leaves to docker-proxy")
	}
	return kept
}

// expect makes all connections at once, because each dropped one takes until its timeout.
func (b *bench) expect(when string, tries ...try) {
	b.Helper()
	b.expectAll(when, b.forwarded(tries))
}

// connect makes one connection to each endpoint, all at once.
func (b *bench) connect(from *lab.Node, targets []endpoint) []lab.Result {
	var wait sync.WaitGroup
	got := make([]lab.Result, len(targets))
	for i, target := range targets {
		wait.Go(func() { got[i] = from.Connect(target.network, target.to) })
	}
	wait.Wait()
	return got
}

// expectAll makes connections, whether a container answers or docker-proxy.
func (b *bench) expectAll(when string, tries []try) {
	b.Helper()
	var wait sync.WaitGroup
	got, answers := make([]lab.Result, len(tries)), make([]string, len(tries))
	for i, c := range tries {
		wait.Go(func() { got[i], answers[i] = c.result() })
	}
	wait.Wait()
	for i, c := range tries {
		if got[i] != c.want {
			b.Errorf("%s: %s to %s %s: %s %q, want %s", when, c.from.Name, c.network, c.to, got[i], answers[i], c.want)
		}
	}
}
