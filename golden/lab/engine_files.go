//go:build linux

package lab

import (
	"os"
	"path/filepath"
)

// WriteFolder writes files, scripts among them, to a folder where the engine's tools
// see it, over what is there. It returns the folder's path as Tools sees it.
func (e *Engine) WriteFolder(name string, files map[string][]byte) string {
	e.t.Helper()
	outside := e.cell.file(name)
	if err := os.MkdirAll(outside, 0o755); err != nil {
		e.t.Fatal(err)
	}
	for file, content := range files {
		mode := os.FileMode(0o644)
		if filepath.Ext(file) == ".sh" {
			mode = 0o755
		}
		if err := os.WriteFile(filepath.Join(outside, file), content, mode); err != nil {
			e.t.Fatal(err)
		}
	}
	return filepath.Join(cellMount, name)
}

// RunTool runs a command as the engine does, with iptables meaning its backend's.
// Variables are words like "NAME=VALUE".
func (e *Engine) RunTool(variables []string, args ...string) (stdout, stderr string, err error) {
	command := append([]string{"env", "PATH=" + e.path}, variables...)
	return e.Tools.Run(append(command, args...)...)
}
