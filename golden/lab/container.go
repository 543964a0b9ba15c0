//go:build linux

package lab

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab/internal/talk"
)

// ContainerOptions describes a container to run. Only Name is required.
type ContainerOptions struct {
	Name    string
	Publish []string // as for docker's --publish: "8080:80/tcp"

	// Listen lists the ports the container answers on: "80/tcp", "53/udp".
	// The default is those it publishes.
	Listen []string

	Network string   // the default bridge if empty
	Command []string // instead of the lab's server; /bin/busybox exists
}

// Container is a running container. As a Node it makes connections and runs
// commands (of the test machine, not of its image) in the container's network
// namespace. When the engine starts again, it restarts, perhaps with new addresses.
type Container struct {
	*Node
	ID string

	engine *Engine
	listen []talk.Port // of the lab's server
}

const (
	image       = "lab"
	serverInBox = "/bin/labserver"
)

// RunContainer runs a container and returns when it listens.
func (e *Engine) RunContainer(options ContainerOptions) *Container {
	e.t.Helper()
	args := []string{"run", "--detach", "--restart", "always", "--name", options.Name}
	for _, publish := range options.Publish {
		args = append(args, "--publish", publish)
	}
	if options.Network != "" {
		args = append(args, "--network", options.Network)
	}
	container := &Container{
		Node:   &Node{Namespace: &Namespace{Name: options.Name, t: e.t}, Name: options.Name},
		engine: e,
	}
	command := options.Command
	if command == nil {
		listen := options.Listen
		if listen == nil {
			listen = publishedPorts(options.Publish)
		}
		container.listen = parsePorts(e.t, listen)
		command = append([]string{serverInBox, options.Name}, listen...)
	}
	container.ID = e.Docker(append(append(args, image), command...)...)
	container.refresh()
	e.containers = append(e.containers, container)
	return container
}

// Exec runs a command in the container, as docker exec does.
func (c *Container) Exec(args ...string) (stdout, stderr string, err error) {
	stdout, stderr, err = c.engine.run("", append([]string{"exec", c.ID}, args...)...)
	if err != nil {
		err = fmt.Errorf("docker exec %s %s: %w: %s", c.Name, strings.Join(args, " "), err, strings.TrimSpace(stderr))
	}
	return stdout, stderr, err
}

// Remove stops and removes the container.
func (c *Container) Remove() {
	c.engine.t.Helper()
	c.engine.Docker("rm", "--force", c.ID)
	for i, other := range c.engine.containers {
		if other == c {
			c.engine.containers = append(c.engine.containers[:i:i], c.engine.containers[i+1:]...)
			return
		}
	}
}

// refresh reads the container's namespace and addresses, and waits until it listens.
func (c *Container) refresh() {
	e := c.engine
	e.t.Helper()
	var settings struct {
		SandboxKey string
		Networks   map[string]struct {
			IPAddress         string
			GlobalIPv6Address string
		}
	}
	text := e.Docker("inspect", "--format", "{{json .NetworkSettings}}", c.ID)
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		e.t.Fatalf("container %s: %v in %s", c.Name, err, text)
	}
	if settings.SandboxKey == "" {
		e.t.Fatalf("container %s does not run: %s", c.Name, e.Docker("logs", c.ID))
	}
	c.V4, c.V6 = netip.Addr{}, netip.Addr{}
	for _, network := range settings.Networks {
		// Empty if the network has no addresses of the family.
		c.V4, _ = netip.ParseAddr(network.IPAddress)
		c.V6, _ = netip.ParseAddr(network.GlobalIPv6Address)
	}
	c.path = filepath.Join(e.cell.root, settings.SandboxKey)
	c.lock = e.lab.Host.lock

	deadline := time.Now().Add(engineLimit)
	for _, port := range c.listen {
		loopback := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port.Number).String()
		for c.Connect(port.Network, loopback) != Answered {
			if time.Now().After(deadline) {
				e.t.Fatalf("container %s does not answer itself on %s: %s", c.Name, loopback, e.Docker("logs", c.ID))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// publishedPorts returns the container ports: 80/tcp for 127.0.0.1:8080:80/tcp.
func publishedPorts(publish []string) []string {
	var ports []string
	for _, p := range publish {
		ports = append(ports, p[strings.LastIndexByte(p, ':')+1:])
	}
	return ports
}

func parsePorts(t testing.TB, texts []string) []talk.Port {
	t.Helper()
	var ports []talk.Port
	for _, text := range texts {
		port, err := talk.ParsePort(text)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, port)
	}
	return ports
}

func (e *Engine) importImage() {
	e.t.Helper()
	e.docker(imageContent(e.t), "import", "-", image)
}

func imageContent(t testing.TB) string {
	t.Helper()
	content, err := imageTar()
	if err != nil {
		t.Fatalf("image for the lab's containers: %v", err)
	}
	return content
}

// imageTar builds the image, once for a test process: a static busybox and the
// lab's server, without a registry.
var imageTar = sync.OnceValues(func() (string, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	shell, err := os.ReadFile(busybox)
	if err != nil {
		return "", err
	}
	server, err := buildServer()
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	for _, file := range []struct {
		name    string
		content []byte
	}{
		{"bin/busybox", shell},
		{strings.TrimPrefix(serverInBox, "/"), server},
	} {
		header := &tar.Header{Name: file.name, Mode: 0o755, Size: int64(len(file.content))}
		if err := archive.WriteHeader(header); err != nil {
			return "", err
		}
		if _, err := archive.Write(file.content); err != nil {
			return "", err
		}
	}
	link := &tar.Header{Name: "bin/sh", Typeflag: tar.TypeSymlink, Linkname: "busybox"}
	if err := errors.Join(archive.WriteHeader(link), archive.Close()); err != nil {
		return "", err
	}
	return out.String(), nil
})

func buildServer() ([]byte, error) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("labserver-%d-", os.Getpid()))
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "labserver")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program,
		"github.com/dockerfw/dockerfw/golden/lab/cmd/labserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build labserver: %w: %s", err, out)
	}
	return os.ReadFile(program)
}
