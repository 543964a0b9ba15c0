package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/network"
	"github.com/dockerfw/dockerfw/compiler/ir"
)

// Tools are the programs of a running host that print its rules and sets.
type Tools interface {
	// Output is what a tool prints. The error of one that is not installed is ErrNoTool.
	Output(tool string, args ...string) ([]byte, error)
	// LegacyTables are the names of the tables of the legacy backend that exist, of a family.
	LegacyTables(ir.Family) []string
	// HasDefaultBridge reports whether the interface exists that every engine creates.
	HasDefaultBridge() bool
	// Network reads the interfaces and routes.
	Network() (*network.State, error)
}

// ErrNoTool is the error of a tool that is not installed.
var ErrNoTool = exec.ErrNotFound

// ToolOutput runs a tool of a running host that prints rules or sets of the kernel.
func (h *Host) ToolOutput(tool string, args ...string) ([]byte, error) {
	return h.hostTools().Output(tool, args...)
}

// HasDefaultBridge reports whether a running host has the interface docker0, which every engine
// creates by default.
func (h *Host) HasDefaultBridge() bool { return h.hostTools().HasDefaultBridge() }

func (h *Host) hostTools() Tools {
	if h.tools == nil {
		return LocalTools{}
	}
	return h.tools
}

// LocalTools are the tools on the PATH.
type LocalTools struct{}

// Output runs a tool.
func (LocalTools) Output(tool string, args ...string) ([]byte, error) {
	cmd := exec.Command(tool, args...)
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		// su without - leaves sbin out of the path.
		if path, err := exec.LookPath("/usr/sbin/" + tool); err == nil {
			cmd = exec.Command(path, args...)
		}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "TZ=UTC") // nft prints times in the zone of its process
	text, err := cmd.Output()
	if err != nil {
		why := strings.TrimSpace(stderr.String())
		if why == "" {
			why = err.Error()
		}
		if os.Geteuid() != 0 {
			return nil, fmt.Errorf("root is required, to read the rules of this host: run the command with sudo (%s: %s: %w)", tool, why, err)
		}
		return nil, fmt.Errorf("%s: %s: %w", tool, why, err)
	}
	return text, nil
}

// legacyTables are the files that list the tables of the legacy backend.
var legacyTables = map[ir.Family]string{ir.IPv4: "/proc/net/ip_tables_names", ir.IPv6: "/proc/net/ip6_tables_names"}

// LegacyTables reads the list of the kernel, which the legacy tools would extend.
func (LocalTools) LegacyTables(f ir.Family) []string {
	names, err := os.ReadFile(legacyTables[f])
	if err != nil {
		return nil
	}
	return strings.Fields(string(names))
}

// HasDefaultBridge looks for the interface docker0. Files below /sys can be those of another network
// namespace.
func (LocalTools) HasDefaultBridge() bool {
	_, err := net.InterfaceByName("docker0")
	return err == nil
}

// Network reads the network namespace of the calling thread.
func (LocalTools) Network() (*network.State, error) { return network.Read() }

// Here reports whether h is the host that this runs on, whose processes can be read as well.
func (h *Host) Here() bool {
	_, elsewhere := h.tools.(remoteTools)
	return h.Kind == Live && !elsewhere
}
