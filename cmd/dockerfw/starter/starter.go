// Package starter writes the first policy of a host, which a user then edits.
//
// In: a directory, and the name of the external interface if the user knows it.
// Out: policy.hcl, or an error if the directory has a policy. It overwrites nothing.
package starter

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// policy admits listed clients to every published port, everyone to one, and to ssh of the
// host, which it closes otherwise. %q is the name of the external interface.
const policy = `# Which clients may reach the ports that Docker publishes on this host.
# The order of blocks does not matter: rules are always evaluated in the order
# established, deny, accept, default.

host {
  external_interfaces = [%q]
}

# Clients that may reach every published port: addresses, networks and ranges, IPv4
# and IPv6. To read them from a file: files = ["lists/office.txt"]
ipset "clients" {
  entries = []
}

# A port that everyone may reach: the published one, which is the left one of "443:8443".
accept "https" {
  protocol        = "tcp"
  published_ports = [443]
}

# All other traffic is dropped, except from these clients.
default {
  allow = [ipset.clients]
}

# The host itself: closed on the external interface, except for what is listed here. That
# includes containers with network_mode: host, and docker-proxy on ports that no rule lists.
# List what the host serves, such as WireGuard; connections that the host opens need no rule.
input {
  # To restrict ssh to the office: source = ["192.0.2.0/24"]
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}

test "other clients do not reach postgres" {
  from    = "192.0.2.99"
  to_port = 5432
  expect  = "refused"
}

test "nor over IPv6, where docker-proxy answers" {
  from    = "2001:db8::99"
  to_port = 5432
  proxy   = true
  expect  = "refused"
}

test "ssh reaches the host" {
  from    = "192.0.2.99"
  to_port = 22
  to_host = true
  expect  = "allowed"
}

test "nothing else reaches the host" {
  from    = "192.0.2.99"
  to_port = 9100
  to_host = true
  expect  = "refused"
}
`

// Text returns the policy for an external interface.
func Text(external string) []byte { return fmt.Appendf(nil, policy, external) }

// Existing returns the policy that a directory has already; "" if it has none.
func Existing(dir string) string {
	found, err := filepath.Glob(filepath.Join(dir, "*.hcl*"))
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0]
}

// Write writes policy.hcl into a directory, which it creates if it does not exist, and
// returns its path.
func Write(dir, external string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if existing := Existing(dir); existing != "" {
		return "", fmt.Errorf("%s already exists; not overwritten", existing)
	}
	path := filepath.Join(dir, "policy.hcl")
	return path, writeNew(path, Text(external))
}

// writeNew writes a file that does not exist yet; after an error there is none.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// DefaultInterface returns the interface of the default route, and how it was found; see
// proc(5), /proc/net/route. Without a default route it is a guess.
func DefaultInterface() (name, how string) {
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return guess()
	}
	defer f.Close()
	return defaultInterface(f)
}

func guess() (name, how string) { return "eth0", "a guess, because there is no default route" }

func defaultInterface(routes io.Reader) (name, how string) {
	lines := bufio.NewScanner(routes)
	for lines.Scan() {
		// Interface, destination, gateway, flags, reference count, use, metric, mask.
		fields := strings.Fields(lines.Text())
		if len(fields) > 7 && fields[1] == "00000000" && fields[7] == "00000000" {
			return fields[0], "the interface of the default route"
		}
	}
	return guess()
}
