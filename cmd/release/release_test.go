package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

func example() (*release, []file) {
	r := &release{version: "1.2.3~20260304", commit: strings.Repeat("0123456789", 4), time: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	return r, []file{
		{"/usr/bin/dockerfw", 0o755, []byte("program\n")},
		{"/usr/share/man/man1/dockerfw.1.gz", 0o644, compressed([]byte(".TH X\n"))},
	}
}

// printed is the output of a tool about a package. The test is skipped without the tool.
func printed(t *testing.T, pkg []byte, tool string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		testenv.SkipOrFail(t, err.Error())
	}
	name := filepath.Join(t.TempDir(), "package")
	if err := os.WriteFile(name, pkg, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, append(args, name)...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

func requireLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, want := range lines {
		if !strings.Contains("\n"+text, "\n"+want) {
			t.Errorf("no line begins with %q:\n%s", want, text)
		}
	}
}

func TestDpkgReadsTheDebianPackage(t *testing.T) {
	r, files := example()
	deb, err := r.deb("arm64", files)
	if err != nil {
		t.Fatal(err)
	}
	requireLines(t, printed(t, deb, "dpkg-deb", "--field"), "Package: dockerfw\n", "Version: 1.2.3~20260304\n", "Architecture: arm64\n", "Depends: iptables, ipset\n", " into ready-to-load")
	requireLines(t, printed(t, deb, "dpkg-deb", "--contents"),
		"drwxr-xr-x root/root         0 2026-03-04 05:06 ./usr/bin/\n",
		"-rwxr-xr-x root/root         8 2026-03-04 05:06 ./usr/bin/dockerfw\n",
		"-rw-r--r-- root/root")
	requireLines(t, printed(t, deb, "dpkg-deb", "--info"), " new Debian package, version 2.0.\n", " Package: dockerfw\n")
	if again, err := r.deb("arm64", files); err != nil || !bytes.Equal(deb, again) {
		t.Errorf("a second package differs: %v", err)
	}
}

func TestRPMReadsTheRPMPackage(t *testing.T) {
	r, files := example()
	rpm, err := r.rpm("amd64", files)
	if err != nil {
		t.Fatal(err)
	}
	requireLines(t, printed(t, rpm, "rpm", "-qp", "--info"), "Name        : dockerfw\n", "Version     : 1.2.3~20260304\n", "Architecture: x86_64\n", "License     : Apache-2.0\n", "Build Host  : localhost\n")
	requireLines(t, printed(t, rpm, "rpm", "-qp", "--dump"), "/usr/bin/dockerfw 8 1772600767 ", "/usr/share/man/man1/dockerfw.1.gz ")
	requireLines(t, printed(t, rpm, "rpm", "-qp", "--requires"), "iptables\n", "ipset\n")
	requireLines(t, printed(t, rpm, "rpm", "-qp", "--scripts"), "preuninstall scriptlet", "postinstall scriptlet", "postuninstall scriptlet")
	if again, err := r.rpm("amd64", files); err != nil || !bytes.Equal(rpm, again) {
		t.Errorf("a second package differs: %v", err)
	}
}

func TestUnknownPlatformsAreErrors(t *testing.T) {
	for list, want := range map[string]int{"": len(platforms), "linux/amd64": 1, "linux/arm64,windows/amd64": 2, "linux": 0, "plan9/amd64": 0, "linux/amd64,": 0} {
		got, err := choose(list)
		if len(got) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
}
