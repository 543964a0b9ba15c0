//go:build linux

package lab

import (
	"os"
	"path/filepath"
)

// WriteFolder writes files to a folder that the engine's tools can read; existing files are
// overwritten. It returns the path of the folder for Tools.
func (e *Engine) WriteFolder(name string, files map[string][]byte) string {
	e.t.Helper()
	outside := e.cell.file(name)
	if err := os.MkdirAll(outside, 0o755); err != nil {
		e.t.Fatal(err)
	}
	for file, content := range files {
		if err := os.WriteFile(filepath.Join(outside, file), content, 0o644); err != nil {
			e.t.Fatal(err)
		}
	}
	return filepath.Join(cellMount, name)
}

// Install copies a statically linked program to the PATH of RunTool.
func (e *Engine) Install(program string) {
	e.t.Helper()
	content, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(e.cell.file("bin/"+filepath.Base(program)), content, 0o755)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

// RunTool runs a command as the engine does: iptables is the one of its backend. Variables
// have the form "NAME=VALUE".
func (e *Engine) RunTool(variables []string, args ...string) (stdout, stderr string, err error) {
	command := append([]string{"env", "PATH=" + e.path}, variables...)
	return e.Tools.Run(append(command, args...)...)
}
