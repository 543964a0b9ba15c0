//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// The unit has the path of a program that exists: systemd-analyze checks it.
func TestSystemdAcceptsTheUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		testenv.SkipOrFail(t, err.Error())
	}
	program := filepath.Join(t.TempDir(), "dockerfw")
	if out, err := exec.Command("go", "build", "-o", program, "../../cmd/dockerfw").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := exec.Command(program, "apply", "--print-unit").Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "ExecStart=" + program + " apply --boot /etc/dockerfw\n"; !strings.Contains(string(text), want) {
		t.Errorf("the unit does not contain %s:\n%s", want, text)
	}
	path := filepath.Join(t.TempDir(), "dockerfw.service")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSystemdAcceptsTheUnitForFirewalld(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		testenv.SkipOrFail(t, err.Error())
	}
	const name = "dockerfw-firewalld.service"
	unit := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(unit, []byte(fileOfDocs(t, "/etc/systemd/system/"+name)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
