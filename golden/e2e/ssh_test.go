//go:build linux

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// The program reads a host through a real sshd, and reports what it reports as live on the host
// itself.
func TestAHostIsReadThroughSSHAsOnTheHostItself(t *testing.T) {
	t.Parallel()
	lab.Require(t, "iptables-nft", "iptables-legacy", "ipset", "conntrack", "ssh", "ssh-keygen", "sshd")
	p := compileFolder(t, "ssh", strings.Replace(livePolicy, "[\"eth0\"] }", "[\"eth0\", \"eth1\"] }", 1))
	for _, backend := range lab.Backends {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			network := lab.NewLab(t)
			h := targetIn(t, backend, network.Host.Namespace)
			h.addDockerChains(backend)
			h.succeeds(p, nil)
			s := startSSHD(h, network.Host)
			here := s.client(network.Allowed, lab.Program(t))

			const host = "ssh://root@198.51.100.1"
			same := func(code int, args ...string) {
				t.Helper()
				there := h.dockerfw(replaced(args, "HOST", "live")...)
				h.expect(there, code)
				got := here(replaced(args, "HOST", host)...)
				got.text = ofThisHost.ReplaceAllString(strings.ReplaceAll(got.text, host, "live"), "")
				there.text = ofThisHost.ReplaceAllString(there.text, "")
				if got != there {
					t.Errorf("%q through ssh: exit code %d\n%s\non the host: %d\n%s", args, got.code, got.text, there.code, there.text)
				}
			}
			reports := func(verified, diffed int) {
				t.Helper()
				same(verified, "verify", p.dir, "HOST")
				same(verified, "verify", p.dir, "HOST", "--format", "json")
				same(diffed, "diff", "HOST", p.dir)
				same(0, "explain", "HOST", "--from", "192.0.2.99", "--container-port", "443", "--interface", "eth0")
				same(0, "explain", "HOST", "--from", "2001:db8::10", "--to-port", "443", "--interface", "eth0")
			}
			h.expect(here("verify", p.dir, "ssh://root@[2001:db8:1::1]:22"), 0, "ok    interfaces")
			starter := filepath.Join(t.TempDir(), "starter")
			h.expect(here("init", "--from", host, starter), 0, "The external interfaces are eth0 and eth1")
			before := h.saved()
			reports(0, 0)
			other := lab.NFT
			if backend == lab.NFT {
				other = lab.Legacy
			}
			h.setDefault(other)
			reports(0, 0)
			h.setDefault(backend)
			h.requireUnchanged(before)
			if names := h.MustRun("cat", "/proc/net/ip_tables_names"); backend == lab.NFT && names != "" {
				t.Errorf("legacy tables were created: %s", names)
			}

			// Faults are found through ssh too, also those of the other backend.
			if err := h.IPTables(backend, 4, "-I", "DOCKER-USER", "-s", "192.0.2.0/24", "-j", "ACCEPT"); err != nil {
				t.Fatal(err)
			}
			if err := h.IPTablesRestore(other, 4, "*filter\n:DOCKER-USER - [0:0]\n-A FORWARD -j DOCKER-USER\nCOMMIT\n"); err != nil {
				t.Fatal(err)
			}
			reports(1, 1)
			h.addDockerChains(other)
			same(2, "verify", p.dir, "HOST")

			h.expect(here("explain", "ssh://nobody@198.51.100.1", "--from", "192.0.2.99", "--to-port", "443"), 2,
				"dockerfw: ssh://nobody@198.51.100.1: ", "Reading the rules of a host needs root: use ssh://root@198.51.100.1")
			h.expect(here("verify", p.dir, "ssh://root@198.51.100.1:23"), 2,
				"dockerfw: ssh://root@198.51.100.1:23: ssh: connect to host 198.51.100.1 port 23: Connection refused\n")
			h.expect(here("verify", p.dir, "ssh://daemon@198.51.100.1"), 2,
				"dockerfw: ssh://daemon@198.51.100.1: ", "This account is")
			s.forgetKey()
			h.expect(here("verify", p.dir, host), 2, "Permission denied (publickey)")
		})
	}
}

// ofThisHost matches what only a command on the host itself finds: about the boot unit.
var ofThisHost = regexp.MustCompile(`(?m)^(ok  |--  |FAIL)  boot .*\n|,?\s*\{\s*"check": "boot"[^}]*\}`)

func replaced(args []string, word, by string) []string {
	var out []string
	for _, a := range args {
		out = append(out, strings.ReplaceAll(a, word, by))
	}
	return out
}

// sshd is a server on a host, with keys of its own.
type sshd struct {
	h   *target
	at  *lab.Node
	dir string
}

// sshdScript runs sshd with a /run and accounts of its own: /run/sshd may not exist, root may be
// locked, and the files of a shell of root might change PATH. The shell is the first process of
// a namespace, so that nothing is left of sshd when it ends: when standard input is closed, hence
// also when the test is killed.
const sshdScript = `
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
cp "$1/key.pub" /run/authorized_keys
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/shadow" /etc/shadow
sshd=$(command -v sshd)
"$sshd" -D -e -f "$1/sshd_config" &
cat
`

// startSSHD starts an sshd on port 22 of the addresses of the host. Root and nobody may log in.
func startSSHD(h *target, at *lab.Node) *sshd {
	h.t.Helper()
	s := &sshd{h, at, h.t.TempDir()}
	for _, name := range []string{"key", "host_key"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path(name)).CombinedOutput(); err != nil {
			h.t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	s.write("passwd", "root:x:0:0:root:/nonexistent:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n"+
		"daemon:x:1:1:daemon:/nonexistent:/usr/sbin/nologin\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n")
	s.write("shadow", "root:*:19000::::::\nnobody:*:19000::::::\ndaemon:*:19000::::::\nsshd:*:19000::::::\n")
	s.write("sshd_config", fmt.Sprintf(`
Port 22
ListenAddress %s
ListenAddress %s
HostKey %s
AuthorizedKeysFile /run/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
SetEnv PATH=%s:/usr/bin:/bin
`, at.V4, at.V6, s.path("host_key"), h.path("bin")))
	s.start()
	return s
}

func (s *sshd) start() {
	s.h.t.Helper()
	cmd := exec.Command("nsenter", "--net=/run/netns/"+s.h.Name, "--", "unshare", "--mount", "--pid", "--fork", "sh", "-c", sshdScript, "sh", s.dir)
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.h.t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.h.t.Fatal(err)
	}
	s.h.t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	var reported strings.Builder
	lines := bufio.NewScanner(stderr)
	for listening := 0; lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Server listening on") {
			listening++
		}
		if listening == 2 {
			go io.Copy(io.Discard, stderr)
			return
		}
		reported.WriteString(lines.Text() + "\n")
	}
	s.h.t.Fatalf("sshd does not listen:\n%s", reported.String())
}

func (s *sshd) path(name string) string { return filepath.Join(s.dir, name) }

func (s *sshd) write(name, text string) {
	s.h.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o644); err != nil {
		s.h.t.Fatal(err)
	}
}

// client returns a function that runs the program on another machine. Its ssh has the key and
// knows the host, as the configuration of a user would make it.
func (s *sshd) client(node *lab.Node, command string) func(args ...string) outcome {
	s.h.t.Helper()
	public, err := os.ReadFile(s.path("host_key.pub"))
	if err != nil {
		s.h.t.Fatal(err)
	}
	s.write("known_hosts", fmt.Sprintf("%s,%s %s", s.at.V4, s.at.V6, public))
	s.write("ssh_config", fmt.Sprintf("BatchMode yes\nIdentitiesOnly yes\nIdentityAgent none\nIdentityFile %s\nUserKnownHostsFile %s\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n",
		s.path("key"), s.path("known_hosts")))
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		s.h.t.Fatal(err)
	}
	bin := s.h.t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\nexec "+ssh+" -F "+s.path("ssh_config")+" \"$@\"\n"), 0o755); err != nil {
		s.h.t.Fatal(err)
	}
	return func(args ...string) outcome {
		s.h.t.Helper()
		stdout, stderr, err := node.Run(append([]string{"env", "PATH=" + bin + ":" + os.Getenv("PATH"), command}, args...)...)
		out := outcome{text: stdout + stderr}
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit):
			out.code = exit.ExitCode()
		case err != nil:
			s.h.t.Fatal(err)
		}
		return out
	}
}

// forgetKey gives the client another key, which the server does not know.
func (s *sshd) forgetKey() {
	s.h.t.Helper()
	for _, name := range []string{"key", "key.pub"} {
		if err := os.Remove(s.path(name)); err != nil {
			s.h.t.Fatal(err)
		}
	}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("key")).CombinedOutput(); err != nil {
		s.h.t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
}
