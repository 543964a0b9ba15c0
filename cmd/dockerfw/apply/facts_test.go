package apply

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
)

func TestTheBootUnitHasToLoadTheSameVersion(t *testing.T) {
	dirs := map[string]string{}
	for name, text := range map[string]string{"one": "1", "same": "1", "other": "2"} {
		dirs[name] = t.TempDir()
		if err := os.WriteFile(filepath.Join(dirs[name], "manifest.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := &snapshot.Host{Kind: snapshot.Folder, Name: dirs["one"]}
	for _, c := range []struct {
		unit   BootUnit
		status facts.Status
		text   string
	}{
		{BootUnit{}, facts.Note, "this host does not run systemd"},
		{BootUnit{Systemd: true, Folder: dirs["one"]}, facts.Note, "the unit dockerfw.service is not enabled: published ports are open after a reboot"},
		{BootUnit{Systemd: true, Enabled: true}, facts.Note, "the unit dockerfw.service is enabled, but /etc/dockerfw does not exist"},
		{BootUnit{Systemd: true, Enabled: true, Folder: dirs["other"]}, facts.Note, "the unit dockerfw.service loads " + dirs["other"] + ", which is another version"},
		{BootUnit{Systemd: true, Enabled: true, Folder: dirs["same"]}, facts.OK, "the unit dockerfw.service is enabled, and loads " + dirs["same"]},
	} {
		if got := c.unit.Fact(want); got.Status != c.status || !strings.HasPrefix(got.Text, c.text) || got.Name != "boot" {
			t.Errorf("%+v: %+v", c.unit, got)
		}
	}
}

func TestTheBootUnitIsReadFromLinks(t *testing.T) {
	root := t.TempDir()
	if got := ReadBootUnit(root); got != (BootUnit{}) {
		t.Errorf("an empty host: %+v", got)
	}
	folder := filepath.Join(root, "etc/dockerfw.d/1")
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	for _, dir := range []string{folder, wants, filepath.Join(root, "run/systemd/system")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("dockerfw.d/1", filepath.Join(root, "etc/dockerfw")); err != nil {
		t.Skip(err)
	}
	// The directory of the tests may be behind a link.
	resolved, err := filepath.EvalSymlinks(folder)
	if err != nil {
		t.Fatal(err)
	}
	if got := ReadBootUnit(root); got != (BootUnit{Systemd: true, Folder: resolved}) {
		t.Errorf("without the unit: %+v", got)
	}
	// A package installs the unit, and does not enable it.
	packaged := filepath.Join(root, "usr/lib/systemd/system")
	if err := os.MkdirAll(packaged, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(packaged, UnitName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ReadBootUnit(root); got != (BootUnit{Systemd: true, Installed: true, Folder: resolved}) || got.Enable() != "systemctl enable --now dockerfw" {
		t.Errorf("with the unit of a package: %+v, enabled by %s", got, got.Enable())
	}
	if err := os.WriteFile(filepath.Join(wants, UnitName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ReadBootUnit(root); got != (BootUnit{Systemd: true, Installed: true, Enabled: true, Folder: resolved}) {
		t.Errorf("with the unit: %+v", got)
	}
}

// A port of a bridge is there already: that the interface may come later is no advice.
func TestOnlyAnInterfaceThatIsMissingMayComeLater(t *testing.T) {
	found := []facts.Fact{facts.New(facts.InterfacesName, facts.Error, "the fault")}
	const change = "the fault\nchange the policy and compile it again"
	for later, want := range map[bool]string{
		false: change,
		true:  change + "; if the interface comes later, as that of a VPN does, load with --allow-missing-interface",
	} {
		if got := (&MissingError{Facts: found, Later: later}).Error(); got != want {
			t.Errorf("later %t: %s", later, got)
		}
	}
}
