package files

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{"regular": "text", "empty": ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("folder", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", "socket")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for link, to := range map[string]string{"link": "regular", "linked-pipe": "pipe", "linked-zero": "/dev/zero"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	root, err := Disk.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	const pipe = " is a pipe (FIFO), not a regular file; save the text to a file and use that"
	for name, want := range map[string]string{
		"regular": "", "empty": "", "link": "",
		"folder":      "folder is a directory, not a regular file",
		"pipe":        "pipe" + pipe,
		"linked-pipe": "linked-pipe" + pipe,
		"socket":      "socket is a socket, not a regular file",
		"linked-zero": "linked-zero is a device, not a regular file",
		"/dev/zero":   "/dev/zero is a device, not a regular file",
	} {
		_, err := Read(Disk, name)
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		var irregular *Irregular
		if want != "" && !errors.As(err, &irregular) {
			t.Errorf("%s: %T", name, err)
		}
		if filepath.IsAbs(name) || name == "linked-zero" {
			continue // which leads out of the root
		}
		f, err := root.Open(name)
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s in a root: %v, want %q", name, err, want)
		}
		if err == nil {
			f.Close()
		}
	}
	if _, err := Read(Disk, "none"); !errors.Is(err, os.ErrNotExist) || Reason(err) != "no such file or directory" {
		t.Errorf("a file that is not there: %v", err)
	}
}
