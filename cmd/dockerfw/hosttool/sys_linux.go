package hosttool

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// detach starts a tool in a process group of its own: a terminal sends the signal of Ctrl-C to all
// processes of the group in the foreground.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// inputFile returns a file in memory with the content of a tool's standard input. A pipe would end
// early if this process is killed, in the middle of a line: of "destroy a-new" the tool would read
// "destroy a".
func inputFile(content []byte) (*os.File, error) {
	f, err := memoryFile("stdin")
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(content); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot prepare the standard input: %w", err)
	}
	return f, nil
}

// memoryFile returns an empty file without a path; see memfd_create(2).
func memoryFile(name string) (*os.File, error) {
	// Required where the sysctl vm.memfd_noexec is 2, and unknown to kernels before 6.3.
	fd, err := unix.MemfdCreate("dockerfw "+name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("dockerfw "+name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}
