//go:build linux

package lab

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// Arguments: the directory with the unpacked packages, and the suffix of iptables' programs. The
// programs are at their own paths, because ufw and firewalld start each other's parts and iptables
// by absolute paths; configuration and state are new copies that only the cell sees. What a
// package's installation copies is copied here: nothing is installed, so that no service starts.
const firewallsScript = `
set -e
packages=$1 backend=$2
etc=` + cellMount + `/etc
mkdir -p "$etc" ` + cellMount + `/log ` + cellMount + `/state
cp -a /etc/. "$etc"
for name in ufw default/ufw firewalld fail2ban crowdsec; do rm -rf "$etc/$name"; done
cp -a "$packages/etc/." "$etc"
cp "$packages"/usr/share/ufw/iptables/*.rules "$etc/ufw"
cp "$packages"/usr/share/ufw/before.init "$packages"/usr/share/ufw/after.init "$packages"/usr/share/ufw/ufw.conf "$etc/ufw"
for tool in iptables ip6tables; do
	for suffix in "" -save -restore; do
		ln -sf "/usr/sbin/$tool-$backend$suffix" "$etc/alternatives/$tool$suffix"
	done
done
mount -t overlay -o "ro,lowerdir=$packages/usr:/usr" overlay /usr
mount --bind "$etc" /etc
mount --bind ` + cellMount + `/log /var/log
mount --bind ` + cellMount + `/state /var/lib
mkdir -p /run/lock /run/fail2ban /run/dbus /var/lib/fail2ban
`

// busConfig is of a D-Bus that allows everything, at the path of the system bus. Nothing is started
// on demand.
const busConfig = `<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/>
    <allow send_type="method_call"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
  </policy>
</busconfig>
`

// AddFirewalls gives the engine's tools ufw, firewalld, fail2ban and the bouncer of CrowdSec, with
// the configuration of their Debian packages. None of them runs. Call it before Start.
func (e *Engine) AddFirewalls(backend Backend) {
	e.t.Helper()
	packages := testenv.Firewalls()
	if _, err := os.Stat(filepath.Join(packages, "usr/sbin/firewalld")); err != nil {
		testenv.SkipOrFail(e.t, fmt.Sprintf("make test-packages unpacks ufw, firewalld, fail2ban and crowdsec-firewall-bouncer: %v", err))
	}
	Require(e.t, "setsid")
	e.Tools.MustRun("sh", "-c", firewallsScript, "sh", packages, string(backend))
	e.firewalls = true
}

// WriteFile writes a file that the engine's tools see at an absolute path, after AddFirewalls: in a
// directory that only the cell has.
func (e *Engine) WriteFile(path, content string, mode os.FileMode) {
	e.t.Helper()
	if !e.firewalls || !strings.HasPrefix(path, "/etc/") && !strings.HasPrefix(path, cellMount+"/") {
		e.t.Fatalf("%s would be written on this machine", path)
	}
	outside := filepath.Join(e.cell.root, path)
	if err := os.MkdirAll(filepath.Dir(outside), 0o755); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(outside, []byte(content), mode); err != nil {
		e.t.Fatal(err)
	}
	if err := os.Chmod(outside, mode); err != nil {
		e.t.Fatal(err)
	}
}

// ReadFile reads a file as the engine's tools see it; "" if it does not exist.
func (e *Engine) ReadFile(path string) string {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(e.cell.root, path))
	if err != nil && !os.IsNotExist(err) {
		e.t.Fatal(err)
	}
	return string(text)
}

// StartBus starts the system bus of the engine's tools.
func (e *Engine) StartBus() {
	e.t.Helper()
	e.WriteFile(cellMount+"/bus.conf", busConfig, 0o600)
	e.Tools.MustRun("dbus-daemon", "--config-file="+cellMount+"/bus.conf", "--fork")
}

// StartService starts a program in the background; it ends with the engine's cell. Its output is in
// /var/log/NAME.log. StopService ends it.
func (e *Engine) StartService(name string, variables []string, args ...string) {
	e.t.Helper()
	script := `name=$1; shift; setsid sh -c 'echo $$ > /run/$0.pid; exec "$@"' "$name" "$@" >>/var/log/$name.log 2>&1 </dev/null &`
	if _, _, err := e.RunTool(variables, append([]string{"sh", "-c", script, "sh", name}, args...)...); err != nil {
		e.t.Fatal(err)
	}
}

// StopService ends a program and its children with SIGTERM, and waits until it has ended.
func (e *Engine) StopService(name string) {
	e.t.Helper()
	script := `pid=$(cat /run/$1.pid); kill -- -$pid; while kill -0 $pid 2>/dev/null; do sleep 0.02; done`
	if _, _, err := e.RunTool(nil, "sh", "-c", script, "sh", name); err != nil {
		e.t.Fatal(err)
	}
}

// Listen listens on an address in the namespace until the test ends.
func (ns *Namespace) Listen(network, address string) net.Listener {
	ns.t.Helper()
	var listener net.Listener
	err := ns.Within(func() (err error) {
		listener, err = net.Listen(network, address)
		return err
	})
	if err != nil {
		ns.t.Fatalf("%s: listen on %s: %v", ns.Name, strings.TrimSpace(network+" "+address), err)
	}
	ns.t.Cleanup(func() { listener.Close() })
	return listener
}
