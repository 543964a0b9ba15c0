package apply

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// UnitName is the name of the systemd unit that loads the rules at boot, and BootFolder the folder
// that it loads. VerifyTimer starts VerifyUnit regularly, and that starts MetricsUnit.
const (
	UnitName    = "dockerfw.service"
	VerifyUnit  = "dockerfw-verify.service"
	VerifyTimer = "dockerfw-verify.timer"
	MetricsUnit = "dockerfw-metrics.service"
	BootFolder  = "/etc/dockerfw"
)

// Units are the names of all systemd units.
var Units = []string{UnitName, VerifyUnit, VerifyTimer, MetricsUnit}

// units have no options that confine the service: most of them give it a mount namespace, and where
// systemd cannot set that up, the service does not start and the containers are open.
//
//go:embed *.service *.timer
var units embed.FS

// unitPath are the paths that systemd takes as they are, without quotes; see systemd.service(5).
var unitPath = regexp.MustCompile(`^/[A-Za-z0-9/._+@,=:-]+$`)

// Unit is the text of one of [Units], with the program at an absolute path. The error is about a path
// that such a unit cannot contain.
func Unit(name, program string) (string, error) {
	if !unitPath.MatchString(program) {
		return "", fmt.Errorf("a systemd unit cannot contain the path %s: install dockerfw at a path of letters, digits and ._+@,=:-, such as /usr/local/bin/dockerfw", program)
	}
	text, err := units.ReadFile(name)
	if err != nil {
		return "", err
	}
	return strings.ReplaceAll(string(text), "{{dockerfw}}", program), nil
}

// temporary are directories whose files may be missing when the host starts, or are a person's.
var temporary = []string{"/tmp/", "/var/tmp/", "/dev/shm/", "/run/", "/home/", "/root/"}

// UnitWarning is why a program should not be started at boot from a path; "" for no reason.
func UnitWarning(program string) string {
	if isTemporary(program) {
		return fmt.Sprintf("the unit starts %s, which may be missing when the host starts: install dockerfw in /usr/local/bin and print the unit with that one", program)
	}
	return ""
}

func isTemporary(path string) bool {
	return slices.ContainsFunc(temporary, func(dir string) bool { return strings.HasPrefix(path, dir) })
}

// Program is the absolute path of this program. A symbolic link that it was started by stays, so that
// the unit starts what the link refers to after an update.
func Program() (string, error) {
	resolved, err := os.Executable()
	if err != nil {
		return "", err
	}
	// A path without "/" is one from PATH.
	called, err := exec.LookPath(os.Args[0])
	if err == nil {
		called, err = filepath.Abs(called)
	}
	if err == nil && sameFile(called, resolved) {
		return called, nil
	}
	return resolved, nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}
