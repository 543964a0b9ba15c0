package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// tools are the programs of a running host that print its rules and sets.
type tools interface {
	// output is what a tool prints.
	output(tool string, args ...string) ([]byte, error)
	// legacyTables are the names of the tables of the legacy backend that exist.
	legacyTables() []string
	// hasDefaultBridge reports whether the interface exists that every engine creates.
	hasDefaultBridge() bool
}

// ErrNoTool is the error of a tool that is not installed.
var ErrNoTool = exec.ErrNotFound

// ToolOutput runs a tool of a running host that prints rules or sets of the kernel.
func (h *Host) ToolOutput(tool string, args ...string) ([]byte, error) {
	return h.hostTools().output(tool, args...)
}

// HasDefaultBridge reports whether a running host has the interface docker0, which every engine
// creates by default.
func (h *Host) HasDefaultBridge() bool { return h.hostTools().hasDefaultBridge() }

func (h *Host) hostTools() tools {
	if h.tools == nil {
		return localTools{}
	}
	return h.tools
}

// localTools are the tools on the PATH.
type localTools struct{}

func (localTools) output(tool string, args ...string) ([]byte, error) {
	cmd := exec.Command(tool, args...)
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		// su without - leaves sbin out of the path.
		if path, err := exec.LookPath("/usr/sbin/" + tool); err == nil {
			cmd = exec.Command(path, args...)
		}
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		why := strings.TrimSpace(stderr.String())
		if why == "" {
			why = err.Error()
		}
		hint := ""
		if os.Geteuid() != 0 {
			hint = " (reading the rules of this host needs root)"
		}
		return nil, fmt.Errorf("%s: %s%s: %w", tool, why, hint, err)
	}
	return text, nil
}

// legacyTables is the file that lists the tables of the legacy backend.
var legacyTables = "/proc/net/ip_tables_names"

func (localTools) legacyTables() []string {
	names, err := os.ReadFile(legacyTables)
	if err != nil {
		return nil
	}
	return strings.Fields(string(names))
}

func (localTools) hasDefaultBridge() bool {
	_, err := os.Stat("/sys/class/net/docker0")
	return err == nil
}
