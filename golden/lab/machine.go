//go:build linux

package lab

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Machine is a host on the outside segment that boots: systemd is the first process of namespaces of its
// own, in the root directory of a Debian. Its disk stays when it boots again; processes, rules and sets do
// not. The kernel is shared, so that systemd changes no setting of it but those of the network namespace.
type Machine struct {
	*Node // of the present boot

	t      testing.TB
	lab    *Lab
	debian string
	disk   string // what the machine has written, and the log of systemd
	cgroup string
	init   *exec.Cmd
	// guard ends the machine when the test process is killed: its stdin closes then.
	guard *exec.Cmd
	pipe  io.Closer
	wire  *Namespace // network namespace of the present boot
}

// bootLimit bounds a boot and a shutdown.
const bootLimit = 2 * time.Minute

// Arguments: the root directory, the directory for all changes, the name of the control group.
// systemd makes control groups below the one that it finds as root, which is not the one of the test machine.
const machineScript = `
set -e
mount --make-rprivate /
mkdir -p "$2/upper" "$2/work" "$2/root" "$2/mnt"
mount -t cgroup2 cgroup2 "$2/mnt"
mkdir -p "$2/mnt/$3"
echo 0 > "$2/mnt/$3/cgroup.procs"
umount "$2/mnt"
exec unshare --cgroup sh -ec '
root=$2/root
mount -t overlay -o lowerdir="$1",upperdir="$2/upper",workdir="$2/work" overlay "$root"
mount -t proc proc "$root/proc"
mount -t proc proc "$2/mnt"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --bind "$2/mnt/sys/net" "$root/proc/sys/net"
umount --lazy "$2/mnt"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
	touch "$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
cd "$root"
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" /lib/systemd/systemd
' sh "$1" "$2"
`

// machineFiles are on the disk before the first boot. With a machine ID it is not the first boot of an image,
// at which systemd enables all services. Without D-Bus, the engine makes control groups itself.
var machineFiles = map[string]string{
	"/etc/machine-id":         "00112233445566778899aabbccddeeff\n",
	"/etc/hostname":           "web1\n",
	"/etc/docker/daemon.json": `{"exec-opts": ["native.cgroupdriver=cgroupfs"], "storage-driver": "vfs"}`,
}

// masked are units that do nothing for a test but take time, or that reach the kernel of the test machine.
var masked = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer", "man-db.timer",
	"sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount",
	"dev-hugepages.mount", "systemd-pstore.service", "systemd-udevd.service", "systemd-udev-trigger.service",
	"systemd-modules-load.service", "systemd-logind.service", "getty@.service", "console-getty.service",
}

// NewMachine installs a machine, with addresses on the outside segment, and boots it. debian is a root
// directory, which is not changed. It ends with the test.
func (lab *Lab) NewMachine(debian string, v4, v6 netip.Addr) *Machine {
	t := lab.t
	t.Helper()
	Require(t, "unshare", "nsenter", "chroot", "mount", "busybox")
	m := &Machine{
		Node: &Node{Name: "machine", V4: v4, V6: v6},
		t:    t, lab: lab, debian: debian, disk: t.TempDir(),
		cgroup: lab.Host.Namespace.Name + "-machine",
	}
	t.Cleanup(func() {
		m.cut()
		if err := removeCgroups(m.cgroup); err != nil {
			t.Errorf("left over: %v", err)
		}
	})
	upper := filepath.Join(m.disk, "upper")
	for path, content := range machineFiles {
		writeFile(t, upper+path, content, 0o644)
	}
	for _, unit := range masked {
		path := filepath.Join(upper, "etc/systemd/system", unit)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/dev/null", path); err != nil {
			t.Fatal(err)
		}
	}
	m.Boot()
	m.MustInput(imageContent(t), "docker", "import", "-", image)
	return m
}

// MustInput is MustRun with text as the stdin of the command.
func (m *Machine) MustInput(stdin string, args ...string) string {
	m.t.Helper()
	stdout, _, err := m.Input(stdin, args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return stdout
}

// Boot starts the machine, in a network namespace without rules, and returns when systemd has started or
// failed to start all units: "running" or "degraded".
func (m *Machine) Boot() string {
	m.t.Helper()
	m.wire = NewNamespace(m.t, "dfw-machine")
	node := &Node{Namespace: m.wire, Name: m.Name, V4: m.V4, V6: m.V6}
	m.lab.quietIPv6(node)
	m.lab.plug(node, "eth0", outside, m.V4, m.V6)
	m.lab.batch(m.wire, "route add default via "+outside.v4.Addr().String(), "route add default via "+outside.v6.Addr().String())
	// The card is another one.
	for _, client := range []*Node{m.lab.Allowed, m.lab.Other} {
		client.MustRun("ip", "neigh", "flush", "dev", "eth0")
	}

	log, err := os.OpenFile(m.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	args := m.wire.command("sh", "-c", machineScript, "sh", m.debian, m.disk, m.cgroup)
	m.init = exec.Command(args[0], args[1:]...)
	m.init.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC, Setsid: true}
	m.init.Stdout, m.init.Stderr = log, log
	if err := m.init.Start(); err != nil {
		m.t.Fatal(err)
	}
	pid := fmt.Sprint(m.init.Process.Pid)
	m.guard = exec.Command("sh", "-c", `cat; kill -KILL "$1"`, "sh", pid)
	if m.pipe, err = m.guard.StdinPipe(); err != nil {
		m.t.Fatal(err)
	}
	if err := m.guard.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.Namespace = &Namespace{
		Name:  m.wire.Name + "/machine",
		t:     m.t,
		path:  m.wire.path,
		enter: []string{"--target=" + pid, "--net", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--root", "--wd"},
		lock:  "/run/xtables.lock",
	}
	for deadline := time.Now().Add(bootLimit); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(m.path("/run/systemd/private")); err == nil {
			if out, _, _ := m.Run("systemctl", "is-system-running", "--wait"); out == "running\n" || out == "degraded\n" {
				return strings.TrimSpace(out)
			}
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(m.log())
			m.t.Fatalf("the machine has not booted after %s\n%s", bootLimit, text)
		}
	}
}

// Reboot shuts the machine down, as the command does, and boots it again.
func (m *Machine) Reboot() string {
	m.t.Helper()
	m.MustRun("systemctl", "--no-block", "reboot")
	ended := make(chan struct{})
	go func() {
		_, _ = m.init.Process.Wait() // the kernel ends the first process of a namespace that reboots with a signal
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(bootLimit):
		m.t.Fatalf("the machine has not shut down after %s", bootLimit)
	}
	m.init = nil
	m.cut()
	if err := removeCgroups(m.cgroup); err != nil {
		m.t.Fatal(err)
	}
	m.wire.MustRun("ip", "link", "delete", "eth0")
	return m.Boot()
}

// cut ends the machine at once. It may be called again.
func (m *Machine) cut() {
	if m.guard != nil { // before the process ID may be that of another process
		_ = m.guard.Process.Kill()
		_ = m.guard.Wait()
		_ = m.pipe.Close()
		m.guard = nil
	}
	if m.init != nil {
		_ = m.init.Process.Kill()
		_ = m.init.Wait()
		m.init = nil
	}
}

func (m *Machine) log() string { return filepath.Join(m.disk, "systemd.log") }

// path is where a file of the machine is, seen from outside.
func (m *Machine) path(file string) string {
	return fmt.Sprintf("/proc/%d/root%s", m.init.Process.Pid, file)
}

// WriteFile writes a file of the machine, and creates its directory.
func (m *Machine) WriteFile(path, content string, mode os.FileMode) {
	m.t.Helper()
	writeFile(m.t, m.path(path), content, mode)
}

// ReadFile reads a file of the machine.
func (m *Machine) ReadFile(path string) string {
	m.t.Helper()
	content, err := os.ReadFile(m.path(path))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(content)
}

// RunContainer runs a container with the lab's server, which publishes ports: "5432:5432/tcp". The engine
// starts it again at each boot.
func (m *Machine) RunContainer(name string, publish ...string) {
	m.t.Helper()
	args := []string{"docker", "run", "--detach", "--restart", "always", "--name", name}
	for _, p := range publish {
		args = append(args, "--publish", p)
	}
	m.MustRun(append(append(args, image, serverInBox, name), publishedPorts(publish)...)...)
}

// ServerUnit is a service of the machine that answers on ports, with the lab's server.
func (m *Machine) ServerUnit(name string, ports ...string) {
	m.t.Helper()
	server, err := buildServer()
	if err != nil {
		m.t.Fatal(err)
	}
	m.WriteFile("/usr/local/bin/labserver", string(server), 0o755)
	m.WriteFile("/etc/systemd/system/"+name+".service", "[Unit]\nAfter=network.target\n[Service]\nExecStart=/usr/local/bin/labserver "+
		name+" "+strings.Join(ports, " ")+"\n[Install]\nWantedBy=multi-user.target\n", 0o644)
	m.MustRun("systemctl", "enable", "--now", name)
}

func writeFile(t testing.TB, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}
