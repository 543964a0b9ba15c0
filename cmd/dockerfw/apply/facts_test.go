package apply

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	emitted "github.com/dockerfw/dockerfw/emit/folder"
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
		{BootUnit{Systemd: true, Folder: dirs["one"]}, facts.Note, "the unit dockerfw.service is not enabled: published ports are open after a reboot. To enable it: "},
		{BootUnit{Systemd: true}, facts.Note, "the unit dockerfw.service is not enabled: published ports are open after a reboot. Before you enable it, let /etc/dockerfw lead to"},
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
	if err := os.WriteFile(filepath.Join(folder, "manifest.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ReadBootUnit(root); got.Digest != emitted.Digest([]byte("{}")) {
		t.Errorf("with a manifest: %+v", got)
	}
}

// A folder in a home directory is compiled again there, nftables.service does not see it, and a copy of
// dockerfw is deleted by the next load.
func TestBootLoadsAFolderThatLasts(t *testing.T) {
	const copied = "mkdir -p /etc/dockerfw.d && cp -RT %s /etc/dockerfw.d/0123456789ab && ln -sfn /etc/dockerfw.d/0123456789ab /etc/dockerfw"
	for dir, want := range map[string]string{
		"/etc/dockerfw.d/2": "ln -sfn /etc/dockerfw.d/2 /etc/dockerfw",
		"/srv/web 1":        "ln -sfn '/srv/web 1' /etc/dockerfw",
		"/root/compiled":    strings.Replace(copied, "%s", "/root/compiled", 1),
		"/tmp/compiled":     strings.Replace(copied, "%s", "/tmp/compiled", 1),
		"/var/lib/dockerfw/folder-0123456789abcdef": strings.Replace(copied, "%s", "/var/lib/dockerfw/folder-0123456789abcdef", 1),
	} {
		if got := Select(dir, "0123456789abcdef"); got != want {
			t.Errorf("%s: %s", dir, got)
		}
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
