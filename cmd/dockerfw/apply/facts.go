package apply

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/plan"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/shell"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/snapshot"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
	"github.com/dockerfw/dockerfw/emit/folder"
)

// Facts are those about a host after an operation that loaded a version.
func (r *Result) Facts() []facts.Fact {
	out := []facts.Fact{}
	if r.Want == nil || r.Before == nil {
		return out
	}
	version := r.Want.Version()
	for _, f := range r.Want.Families() {
		if rules := version.Rules[f]; rules != nil && rules.Security != nil && r.Before.NoSecurity[f] {
			out = append(out, facts.New("fallback", facts.Warning, "IPv%d: the kernel has no security table, so the fallback rules are not loaded: if another program deletes the jump to dockerfw's rules, published ports are open until the next load", f))
		}
	}
	return append(out, facts.Expired(r.Want, time.Now())...)
}

// MissingError is the error of a version with interfaces on which nothing would be filtered.
type MissingError struct {
	Facts []facts.Fact
	// Later: one of them does not exist under any name, and may be created later.
	Later bool
}

// Error has a line for each interface, and how to load the version all the same.
func (e *MissingError) Error() string {
	text := ""
	for _, f := range e.Facts {
		text += f.Text + "\n"
	}
	text += "change the policy and compile it again"
	if e.Later {
		text += "; if the interface comes later, as that of a VPN does, load with --allow-missing-interface"
	}
	return text
}

// missing returns a *MissingError for interfaces of the version on which nothing would be filtered. A
// version that is in force already is loaded again all the same: that restores what other tools have
// deleted, and to refuse would leave more open. It is in force if it is recorded, or if the host has
// its rules: records can be lost. The plan has been made.
func (l *load) missing(host *snapshot.Host) error {
	if l.options.AllowMissing || l.Was != nil && l.Was.Digest == l.Loaded.Digest || l.restores(host) {
		return nil
	}
	out := &MissingError{Later: facts.MayComeLater(l.want, host)}
	for _, f := range facts.Interfaces(l.want, host) {
		if f.Status == facts.Error || host.Network == nil {
			out.Facts = append(out.Facts, f)
		}
	}
	if len(out.Facts) == 0 {
		return nil
	}
	return out
}

// restores reports whether the load only restores what is in force: the chains in which the host has
// rules of dockerfw have those of the version, and they filter on each missing interface. Other tools
// delete all rules of a chain; a chain with other rules is of another version.
func (l *load) restores(host *snapshot.Host) bool {
	other := func(c plan.ChainChange) bool { return len(c.Before) > 0 }
	if t := l.Plan.Differences.Table; t != nil && t.ChangesRules() {
		return false
	}
	return !slices.ContainsFunc(l.Plan.Differences.Chains, other) && facts.FilteredOnMissing(l.want, host)
}

// warnSSHClosed warns, before anything is loaded, of a version after which nobody reaches sshd any
// more: only --confirm brings the earlier one back then.
func (l *load) warnSSHClosed() {
	closes, err := l.want.ClosesSSH()
	switch {
	case err != nil:
		l.warn("cannot tell whether the rules let anyone reach port 22/tcp of the host: %v", err)
	case closes:
		l.warn("warning: no rule accepts port 22/tcp of the host: open sessions stay open, but new ones from external interfaces are refused; to have the change rolled back unless you confirm it, use --confirm 60")
	}
}

// BootUnit is what this host loads at boot.
type BootUnit struct {
	// Systemd: the host runs systemd. Enabled: it starts the unit at boot. Installed: it has the unit,
	// from a package for example.
	Systemd   bool `json:"systemd"`
	Installed bool `json:"installed"`
	Enabled   bool `json:"enabled"`
	// Folder is where /etc/dockerfw leads to, without symbolic links; "" if it does not exist. Digest is
	// the version in it; "" if it has no manifest.
	Folder string `json:"folder,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Error is why the folder cannot be loaded. ReadBootUnit does not look for it.
	Error string `json:"error,omitempty"`
}

// ReadBootUnit reads the boot unit below a directory, "/" for this host. It starts no process.
func ReadBootUnit(root string) BootUnit {
	var out BootUnit
	if _, err := os.Stat(filepath.Join(root, "run/systemd/system")); err == nil {
		out.Systemd = true
	}
	for _, dir := range []string{"etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"} {
		if _, err := os.Stat(filepath.Join(root, dir, UnitName)); err == nil {
			out.Installed = true
		}
		for _, by := range []string{"wants", "requires"} {
			links, err := filepath.Glob(filepath.Join(root, dir, "*."+by, UnitName))
			out.Enabled = out.Enabled || err == nil && len(links) > 0
		}
	}
	if path, err := filepath.EvalSymlinks(filepath.Join(root, BootFolder)); err == nil {
		out.Folder = path
		if manifest, err := os.ReadFile(filepath.Join(path, folder.ManifestFile)); err == nil {
			out.Digest = folder.Digest(manifest)
		}
	}
	return out
}

// Enable is the command that enables the unit.
func (b BootUnit) Enable() string {
	const enable = "systemctl enable --now dockerfw"
	if b.Installed {
		return enable
	}
	return "dockerfw apply --print-unit > /etc/systemd/system/" + UnitName + " && " + enable
}

// Select is the command that makes boot load a folder, of which the digest is known. A folder that may be
// missing or another one at the next boot is copied first.
func Select(dir, digest string) string {
	if !lasting(dir) && len(digest) >= 12 {
		to := "/etc/dockerfw.d/" + digest[:12]
		return "mkdir -p /etc/dockerfw.d && " + shell.Command("cp", "-RT", dir, to) + " && " + shell.Command("ln", "-sfn", to, BootFolder)
	}
	return shell.Command("ln", "-sfn", dir, BootFolder)
}

// lasting reports whether a folder is there at the next boot as it is now. Those of users are compiled
// again, and dockerfw deletes its copies.
func lasting(dir string) bool { return !isTemporary(dir) && !store.IsCopy(dir) }

// Fact is whether a host loads at boot what was compiled for it. It is a note if not: until then the
// policy holds.
func (b BootUnit) Fact(want *snapshot.Host) facts.Fact {
	const name = "boot"
	switch {
	case !b.Systemd:
		return facts.New(name, facts.Note, "this host does not run systemd: what loads the rules at boot is not known")
	case !b.Enabled && b.Folder == "":
		// Enabled now, it would find nothing to load, and close all containers.
		return facts.New(name, facts.Note, "the unit %s is not enabled: published ports are open after a reboot. Before you enable it, let %s lead to the folder to load", UnitName, BootFolder)
	case !b.Enabled:
		return facts.New(name, facts.Note, "the unit %s is not enabled: published ports are open after a reboot. To enable it: %s", UnitName, b.Enable())
	case b.Folder == "":
		return facts.New(name, facts.Note, "the unit %s is enabled, but %s does not exist. Let it lead to the folder to load", UnitName, BootFolder)
	case want.Kind == snapshot.Folder && !sameFolder(want.Name, b.Folder):
		return facts.New(name, facts.Note, "the unit %s loads %s, which is another version than %s", UnitName, b.Folder, want.Name)
	}
	return facts.New(name, facts.OK, "the unit %s is enabled, and loads %s", UnitName, b.Folder)
}

// sameFolder reports whether two compiled folders are equal: their manifests have the digests of all
// files.
func sameFolder(a, b string) bool {
	one, err := os.ReadFile(filepath.Join(a, folder.ManifestFile))
	other, err2 := os.ReadFile(filepath.Join(b, folder.ManifestFile))
	return err == nil && err2 == nil && bytes.Equal(one, other)
}

// InForce is what the host has in force as recorded; nil if that is not known.
func (a *Applier) InForce() *store.InForce {
	in, err := a.store.InForce()
	if err != nil {
		a.warn("%v", err)
		return nil
	}
	return in
}
