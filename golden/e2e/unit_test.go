//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

// The units have the path of a program that exists: systemd-analyze checks it.
func TestSystemdAcceptsTheUnits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		testenv.SkipOrFail(t, err.Error())
	}
	program := lab.Program(t)
	dir := t.TempDir()
	args := []string{"verify", "--man=no"}
	for _, unit := range []struct{ name, command, want string }{
		{"dockerfw.service", "apply --print-unit", "ExecStart=" + program + " apply --boot /etc/dockerfw\n"},
		{"dockerfw-verify.service", "verify --print-unit", "ExecStart=" + program + " verify /etc/dockerfw live\n"},
		{"dockerfw-verify.timer", "verify --print-timer", "OnUnitInactiveSec=5min\n"},
		{"dockerfw-metrics.service", "status --print-unit", "ExecStart=" + program + " status --format prometheus --output /var/lib/prometheus/node-exporter/dockerfw.prom\n"},
	} {
		text, err := exec.Command(program, strings.Fields(unit.command)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), unit.want) {
			t.Errorf("%s does not contain %s:\n%s", unit.name, unit.want, text)
		}
		path := filepath.Join(dir, unit.name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSystemdAcceptsTheUnitsOfOperations(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		testenv.SkipOrFail(t, err.Error())
	}
	for _, name := range []string{"dockerfw-firewalld.service", "dockerfw-nftables.service"} {
		unit := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(unit, []byte(shownFile(t, "/etc/systemd/system/"+name)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
