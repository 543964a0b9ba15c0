package apply

import (
	"os"
	"path/filepath"

	"github.com/dockerfw/dockerfw/cmd/dockerfw/facts"
	"github.com/dockerfw/dockerfw/cmd/dockerfw/store"
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
	return out
}

// warnSSHClosed warns, before anything is loaded, of a version after which nobody reaches sshd any
// more: only --confirm brings the earlier one back then.
func (l *load) warnSSHClosed() {
	closes, err := l.want.ClosesSSH()
	switch {
	case err != nil:
		l.warn("cannot tell whether the rules let anyone reach port 22/tcp of the host: %v", err)
	case closes:
		l.warn("no rule accepts port 22/tcp of the host: open sessions stay open, but new ones from external interfaces are refused; to have the change rolled back unless you confirm it, use --confirm 60")
	}
}

// BootUnit is what this host loads at boot.
type BootUnit struct {
	// Systemd: the host runs systemd. Enabled: it starts the unit at boot.
	Systemd bool `json:"systemd"`
	Enabled bool `json:"enabled"`
	// Folder is where /etc/dockerfw leads to, without symbolic links; "" if it does not exist.
	Folder string `json:"folder,omitempty"`
}

// ReadBootUnit reads the boot unit below a directory, "/" for this host. It starts no process.
func ReadBootUnit(root string) BootUnit {
	var out BootUnit
	if _, err := os.Stat(filepath.Join(root, "run/systemd/system")); err == nil {
		out.Systemd = true
	}
	for _, dir := range []string{"etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"} {
		for _, by := range []string{"wants", "requires"} {
			links, err := filepath.Glob(filepath.Join(root, dir, "*."+by, UnitName))
			out.Enabled = out.Enabled || err == nil && len(links) > 0
		}
	}
	if folder, err := filepath.EvalSymlinks(filepath.Join(root, BootFolder)); err == nil {
		out.Folder = folder
	}
	return out
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
