//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/golden/lab"
)

// nobody is a user who is not root.
const nobody = 65534

// What others can change is not loaded as root, and the message has the command that fixes it.
func TestAFolderThatOthersCanChangeIsRefused(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.withPolicy("clients")
	for name, c := range map[string]struct {
		damage func(dir string) error
		why    string
		fix    bool // what the message says to run makes the folder loadable
	}{
		"the folder, by its mode":  {func(dir string) error { return os.Chmod(dir, 0o777) }, "can be written by others", true},
		"the folder, by its group": {func(dir string) error { return os.Chmod(dir, 0o775) }, "can be written by others", true},
		"the folder, by its owner": {func(dir string) error { return os.Chown(dir, nobody, -1) }, "belongs to user 65534, not to root", true},
		"a file, by its mode":      {func(dir string) error { return os.Chmod(dir+"/iptables.restore", 0o666) }, "can be written by others", true},
		"a file, by its owner":     {func(dir string) error { return os.Chown(dir+"/manifest.json", nobody, -1) }, "belongs to user 65534, not to root", true},
		"a file that is a link": {func(dir string) error {
			file := filepath.Join(dir, "ipset.restore")
			if err := os.Rename(file, file+".real"); err != nil {
				return err
			}
			return os.Symlink(file+".real", file)
		}, "is a symbolic link", false},
		"a parent": {func(dir string) error { return os.Chmod(filepath.Dir(dir), 0o777) }, "could be exchanged", false},
	} {
		p := deployPolicy(t, "a jump")
		if err := c.damage(p.dir); err != nil {
			t.Fatal(err)
		}
		before := h.saved()
		out := h.apply(p)
		h.expect(out, 1, c.why, "nothing was changed")
		h.requireUnchanged(before)
		if _, command, found := strings.Cut(out.text, "Run: "); c.fix && found {
			command, _, _ = strings.Cut(command, "\n")
			if text, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v: %s", name, command, err, text)
			}
			h.succeeds(p, nil, "loaded")
			h.succeeds(deployPolicy(t, "clients"), nil, "loaded")
		} else if c.fix {
			t.Errorf("%s: there is no command that fixes it:\n%s", name, out.text)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestASymbolicLinkLeadsToAFolder(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.addDockerChains(h.backend)
	p := deployPolicy(t, "clients")
	link := h.path("dockerfw")
	if err := os.Symlink(p.dir, link); err != nil {
		t.Fatal(err)
	}
	h.expect(h.dockerfw("apply", link), 0, "loaded")
	h.requireLoaded(p)
	h.reboot()
	h.expect(h.dockerfw("apply", "--boot", link), 0, "loaded "+p.dir)
	h.requireLoaded(p)

	// A link that another user can change could lead to any folder of root's.
	if err := os.Lchown(link, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	other := h.path("other")
	if err := os.Mkdir(other, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(other, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(p.dir, other+"/dockerfw"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{link, other + "/dockerfw"} {
		h.leavesAlone(func() outcome { return h.dockerfw("apply", bad) }, 1, "could be exchanged", "nothing was changed")
	}
}

func TestStateThatOthersCanChangeIsRefused(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	old := h.withPolicy("clients")
	b := deployPolicy(t, "a jump")
	for _, name := range []string{"run", "state"} {
		dir := h.path(name)
		for _, c := range []struct {
			damage, repair func() error
			why, fix       string
		}{
			{func() error { return os.Chmod(dir, 0o770) }, func() error { return os.Chmod(dir, 0o700) }, "can be written by others", "chmod 0700 " + dir},
			{func() error { return os.Chown(dir, nobody, nobody) }, func() error { return os.Chown(dir, 0, 0) }, "belongs to user 65534, not to root", "chown root: " + dir},
			{func() error {
				if err := os.Rename(dir, dir+".real"); err != nil {
					return err
				}
				return os.Symlink(dir+".real", dir)
			}, func() error {
				if err := os.Remove(dir); err != nil {
					return err
				}
				return os.Rename(dir+".real", dir)
			}, "is a symbolic link", "rm " + dir},
		} {
			if err := c.damage(); err != nil {
				t.Fatal(err)
			}
			for command, run := range map[string]func() outcome{
				"apply": func() outcome { return h.apply(b) }, "confirm": h.confirm, "rollback": h.rollback, "remove": h.remove,
			} {
				h.leavesAlone(run, 1, c.why, c.fix, "nothing was changed")
				if t.Failed() {
					t.Fatal(command)
				}
			}
			// At boot nothing may be open because of it.
			h.flush(h.backend)
			h.expect(h.boot(b), 1, c.why, "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE")
			h.requireClosed(name + " " + c.why)
			if err := c.repair(); err != nil {
				t.Fatal(err)
			}
			h.succeeds(old, nil)
			h.requireLoaded(old)
		}
	}
}

// Nothing of the environment changes a run, except the documented variables.
func TestTheEnvironmentDoesNotChangeARun(t *testing.T) {
	onBackends(t, func(h *target) {
		old := h.withPolicy("a list of sets")
		b := deployPolicy(h.t, "single addresses")
		h.succeeds(b, nil)
		want := h.saved()
		h.succeeds(old, nil)
		base := h.env
		for _, variable := range selected(h.t, 2, h.backend, []string{
			"XTABLES_LIBDIR=/nonexistent", "IPTABLES_LIB_DIR=/nonexistent", "IP6TABLES_LIB_DIR=/nonexistent",
			"LD_LIBRARY_PATH=/nonexistent", "LD_PRELOAD=/nonexistent.so", "LC_ALL=de_DE.UTF-8", "LANG=tr_TR.UTF-8", "LANGUAGE=de",
			"HOME=/nonexistent", "CDPATH=/nonexistent:/tmp", "PAGER=false", "TMPDIR=/nonexistent", "IFS=/", "ENV=/nonexistent",
			"BASH_ENV=/nonexistent", "POSIXLY_CORRECT=1", "COLUMNS=1", "TERM=nonsense", "NO_COLOR=1", "DEBUG=1", "TZ=Nowhere/Land",
			"GOMAXPROCS=1", "IPSET_ENV=-exist", "XDG_CONFIG_HOME=/nonexistent", "SHELL=/bin/false", "USER=nobody",
		}) {
			h.env = append(append([]string{}, base...), variable)
			h.succeeds(b, nil, "loaded ")
			if got := h.saved(); got != want {
				h.t.Errorf("with %s the host is\n%s\nwithout it it is\n%s", variable, got, want)
			}
			h.succeeds(b, nil, "nothing to do")
			h.succeeds(old, notYet, "loaded ")
			h.expect(h.rollback(), 0)
			h.requireUnchanged(want)
			h.env = base
			h.succeeds(old, nil)
			if h.t.Failed() {
				h.t.Fatal(variable)
			}
		}
	})
}

// The current directory and the name of the folder do not matter.
func TestAFolderByARelativePathIsLoaded(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.addDockerChains(h.backend)
	p := deployPolicy(t, "clients")
	base, name := filepath.Split(p.dir)
	if err := os.MkdirAll(h.path("elsewhere/"+name), 0o755); err != nil {
		t.Fatal(err)
	}
	h.prefix = []string{"sh", "-c", fmt.Sprintf(`cd %q && exec "$@"`, base), "sh"}
	h.env = append(h.env, "CDPATH="+h.path("elsewhere"))
	h.expect(h.dockerfw("apply", name), 0, "loaded")
	h.prefix = nil
	h.requireLoaded(p)
}
