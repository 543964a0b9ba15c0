//go:build linux

package e2e

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dockerfw/dockerfw/compiler/ir"
	"github.com/dockerfw/dockerfw/compiler/packet"
	"github.com/dockerfw/dockerfw/golden/lab"
	"github.com/dockerfw/dockerfw/parser/iptables"
)

// damages are ways to damage a compiled folder.
var damages = map[string]func(dir string) error{
	"truncated":       func(dir string) error { return os.Truncate(filepath.Join(dir, "iptables.restore"), 100) },
	"without rules":   func(dir string) error { return os.Remove(filepath.Join(dir, "iptables.restore")) },
	"without sets":    func(dir string) error { return os.Remove(filepath.Join(dir, "ipset.restore")) },
	"no manifest":     func(dir string) error { return os.Remove(filepath.Join(dir, "manifest.json")) },
	"empty manifest":  func(dir string) error { return os.Truncate(filepath.Join(dir, "manifest.json"), 0) },
	"empty":           empty,
	"truncated lists": func(dir string) error { return os.Truncate(filepath.Join(dir, "ipset.restore"), 300) },
}

func empty(dir string) error {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
	}
	return err
}

func TestBootLoadsTheFolderBeforeTheEngineStarts(t *testing.T) {
	onBackends(t, func(h *target) {
		for _, name := range []string{"a jump", "a list of sets"} {
			p := deployPolicy(h.t, name)
			h.expect(h.boot(p), 0, "loaded "+p.dir)
			h.requireLoaded(p)
			// As when the service starts again.
			h.expect(h.boot(p), 0, "loaded "+p.dir)
			h.requireLoaded(p)
		}
	})
}

func TestBootFallsBackToTheFolderThatWasLoadedLast(t *testing.T) {
	onBackends(t, func(h *target) {
		for _, what := range slices.Sorted(maps.Keys(damages)) {
			damage := damages[what]
			old := deployPolicy(h.t, "a list of sets")
			h.succeeds(old, nil)
			h.reboot()
			b := deployPolicy(h.t, "a jump")
			if err := damage(b.dir); err != nil {
				h.t.Fatal(err)
			}
			h.expect(h.boot(b), 0, "CANNOT LOAD "+b.dir, "loaded "+h.path("state"))
			h.requireLoaded(old)
			if h.t.Failed() {
				h.t.Fatal("with a damaged folder: " + what)
			}
		}
	})
}

func TestBootClosesContainersIfNothingCanBeLoaded(t *testing.T) {
	onBackends(t, func(h *target) {
		for _, what := range slices.Sorted(maps.Keys(damages)) {
			damage := damages[what]
			b := deployPolicy(h.t, "a jump")
			if err := damage(b.dir); err != nil {
				h.t.Fatal(err)
			}
			h.env = append(h.env, "DOCKERFW_BOOT_FALLBACK=open")
			h.refuses(b, 1, []string{"--boot"}, "NO RULES ARE LOADED", "open to everyone")
			h.env = h.env[:len(h.env)-1]
			h.expect(h.boot(b), 1, "CANNOT LOAD "+b.dir, "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE")
			h.requireClosed(what)
			h.expect(h.boot(b), 1, "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE")
			h.requireClosed(what + ", twice")

			good := deployPolicy(h.t, "a list of sets")
			h.succeeds(good, nil, "loaded")
			h.requireLoaded(good)
			h.expect(h.remove(), 0)
			h.reboot()
			if h.t.Failed() {
				h.t.FailNow()
			}
		}
	})
}

// requireClosed fails the test if a new packet from outside is forwarded, or one from a
// container is not.
func (h *target) requireClosed(what string) {
	h.t.Helper()
	s := h.state()
	for _, f := range []ir.Family{ir.IPv4, ir.IPv6} {
		forward := s.Filter(f).Chain("FORWARD")
		if forward == nil || !slices.ContainsFunc(forward.Rules, func(r *iptables.Rule) bool { return r.Text == "-j DOCKER-USER" }) {
			h.t.Errorf("%s, %s: FORWARD has no jump to DOCKER-USER", what, f)
		}
		ends := map[ir.Family][2]string{ir.IPv4: {"192.0.2.99", "172.17.0.2"}, ir.IPv6: {"2001:db8::99", "fd00::2"}}[f]
		program := s.Program(f, "DOCKER-USER")
		for _, q := range []struct {
			in, out string
			want    packet.Kind
		}{{"eth0", "docker0", packet.Drop}, {"eth0", "br-1", packet.Drop}, {"wg7", "docker0", packet.Drop}, {"docker0", "eth0", packet.Docker}, {"br-1", "eth0", packet.Docker}} {
			p := packet.Packet{In: q.in, Out: q.out, Source: netip.MustParseAddr(ends[0]), Destination: netip.MustParseAddr(ends[1]), Protocol: 6, SourcePort: 4000, DestinationPort: 80}
			if got := program.Decide(p).Verdict.Kind; got != q.want {
				h.t.Errorf("%s, %s: a new packet from %s to %s: %v", what, f, q.in, q.out, got)
			}
		}
	}
}

// After an update of the kernel its modules may be missing.
func TestBootClosesContainersWithoutIPSet(t *testing.T) {
	onBackends(t, func(h *target) {
		p := deployPolicy(h.t, "a jump")
		h.wrap("ipset", `echo "ipset: Cannot open session to kernel." >&2; exit 1`)
		h.expect(h.boot(p), 1, "ipset does not work on this host", "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE")
		h.requireClosed("without ipset")
	})
}

// A truncated file may not contain all external interfaces.
func TestBootClosesAllInterfacesWhenTheFolderIsTruncated(t *testing.T) {
	onBackends(t, func(h *target) {
		p := compileFolder(h.t, "two interfaces", `
host {
  external_interfaces = ["wg+", "eth0"]
  families            = ["ipv4"]
}
`)
		path := filepath.Join(p.dir, "iptables.restore")
		text, err := os.ReadFile(path)
		if err != nil {
			h.t.Fatal(err)
		}
		end := strings.Index(string(text), "-i wg+")
		end += strings.Index(string(text)[end:], "\n")
		if err := os.Truncate(path, int64(end)+1); err != nil {
			h.t.Fatal(err)
		}
		h.expect(h.boot(p), 1, "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE")
		h.requireClosed("with a truncated file")
	})
}

func TestADamagedBootCopyIsReplaced(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	p := h.withPolicy("clients")
	copies, err := filepath.Glob(h.path("state/folder-*/iptables.restore"))
	if err != nil || len(copies) != 1 {
		t.Fatal(copies, err)
	}
	if err := os.Truncate(copies[0], 0); err != nil {
		t.Fatal(err)
	}
	h.succeeds(p, nil, "nothing to do")
	h.reboot()
	broken := deployPolicy(t, "a jump")
	if err := empty(broken.dir); err != nil {
		t.Fatal(err)
	}
	h.expect(h.boot(broken), 0, "loaded "+h.path("state"))
	h.requireLoaded(p)
}

func TestBootReportsThatTheEarlierVersionOfAnUnconfirmedOneIsDamaged(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	h.withPolicy("clients")
	b := deployPolicy(t, "a jump")
	h.succeeds(b, notYet, "loaded")
	copies, err := filepath.Glob(h.path("state/folder-*/iptables.restore"))
	if err != nil || len(copies) != 1 {
		t.Fatal(copies, err)
	}
	if err := os.Truncate(copies[0], 0); err != nil {
		t.Fatal(err)
	}
	h.reboot()
	h.expect(h.boot(b), 0, "was never confirmed, but the copy of the folder that was loaded before cannot be used", filepath.Dir(copies[0])+" was changed after it was compiled", "loaded "+b.dir)
	h.requireLoaded(b)
}

// A match of a rule in an input block may need a kernel module that is missing.
func TestBootClosesContainersIfTheInputBlockCannotBeLoaded(t *testing.T) {
	onBackends(t, func(h *target) {
		p := compileFolder(h.t, "closed host", `
host { external_interfaces = ["eth0"] }
input {
  accept "ssh" {
    protocol = "tcp"
    ports    = [22]
  }
}
`)
		for _, family := range []int{4, 6} {
			h.wrap(h.backend.Tool(family, "-restore"), `input=$(/bin/cat)
case $input in *DOCKERFW-HOST*) echo "No chain/target/match by that name" >&2; exit 1 ;; esac
echo "$input" | "$real" "$@"`)
		}
		h.expect(h.boot(p), 1, "No chain/target/match by that name", "ONLY PACKETS FROM CONTAINERS ARE FORWARDED for IPv4, and the host itself is not closed", "for IPv6", "ALL CONTAINERS ARE CLOSED TO THE OUTSIDE")
		h.requireClosed("without the input block")
	})
}

// A newer kernel may not support iptables-legacy any more.
func TestBootUsesTablesThatTheKernelSupports(t *testing.T) {
	t.Parallel()
	h := newTarget(t, lab.NFT)
	p := deployPolicy(t, "clients")
	if err := errors.Join(os.Mkdir(h.path("state"), 0o755), os.WriteFile(h.path("state/backend"), []byte("legacy\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-save", "-restore"} {
		h.wrap("iptables-legacy"+suffix, `echo "can't initialize iptables table filter" >&2; exit 3`)
	}
	h.expect(h.boot(p), 0, "loaded")
	h.requireLoaded(p)
}
