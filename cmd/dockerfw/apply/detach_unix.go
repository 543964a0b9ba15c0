//go:build unix

package apply

import (
	"os/exec"
	"syscall"
)

// detach makes a process survive the end of the terminal and of the session.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
