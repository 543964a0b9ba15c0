package apply

import (
	"os"
	"path/filepath"
	"testing"
)

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
	if err := os.WriteFile(filepath.Join(wants, UnitName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ReadBootUnit(root); got != (BootUnit{Systemd: true, Enabled: true, Folder: resolved}) {
		t.Errorf("with the unit: %+v", got)
	}
}
