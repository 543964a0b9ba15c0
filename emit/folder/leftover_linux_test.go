package folder

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" // as in rand.Text

func TestWriteRemovesWhatKilledRunsLeft(t *testing.T) {
	for _, first := range []bool{true, false} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "compiled")
		f := compiled(t, map[string]string{"iptables.restore": "a\n", "web1/ipset.restore": "b\n"})
		if !first {
			write(t, f, dir)
		}
		writeText(t, filepath.Join(parent, ".compiled.new-"+letters, "iptables.restore"), "partial")
		writeText(t, filepath.Join(parent, ".compiled.new-"+letters, "web9", "iptables.restore"), "partial")
		writeText(t, filepath.Join(parent, ".compiled.new-"+letters+".old", "manifest.json"), "complete")
		if err := os.Mkdir(filepath.Join(parent, ".compiled.new-"+strings.Repeat("A", 26)), 0o777); err != nil {
			t.Fatal(err)
		}
		// Also when nothing else changes.
		write(t, f, dir)
		requireEntries(t, parent, "compiled")
	}
}

func TestWriteKeepsWhatIsNotALeftover(t *testing.T) {
	parent, elsewhere := t.TempDir(), t.TempDir()
	dir := filepath.Join(parent, "compiled")
	write(t, compiled(t, map[string]string{"iptables.restore": "a\n"}), dir)
	writeText(t, filepath.Join(elsewhere, "iptables.restore"), "foreign")
	// The folder of a running process.
	running := ".compiled.new-" + letters
	writeText(t, filepath.Join(parent, running, "iptables.restore"), "partial")
	held, err := os.Open(filepath.Join(parent, running))
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(held); err != nil {
		t.Fatal(err)
	}
	kept := []string{running, "compiled"}
	for name, file := range map[string]string{
		".compiled.new-" + strings.Repeat("B", 26): "notes.txt",
		".compiled.new-" + strings.Repeat("C", 26): "web1/notes.txt",
		".compiled.new-" + strings.Repeat("D", 26): "web1/deep/iptables.restore",
		".compiled.new-backup":                     "iptables.restore",
		".compiled.new-" + letters + "A":           "iptables.restore",
		".compiled.new-" + letters + ".older":      "iptables.restore",
		".compiledXnew-" + letters:                 "iptables.restore",
		".other.new-" + letters:                    "iptables.restore",
		"compiled.new-" + letters:                  "iptables.restore",
	} {
		writeText(t, filepath.Join(parent, name, file), "foreign")
		kept = append(kept, name)
	}
	linked := ".compiled.new-" + strings.Repeat("E", 26)
	link(t, elsewhere, filepath.Join(parent, linked))
	plain := ".compiled.new-" + strings.Repeat("F", 26)
	writeText(t, filepath.Join(parent, plain), "foreign")
	pipe := ".compiled.new-" + strings.Repeat("G", 26)
	if err := syscall.Mkfifo(filepath.Join(parent, pipe), 0o600); err != nil {
		t.Fatal(err)
	}
	kept = append(kept, linked, plain, pipe)
	if os.Geteuid() == 0 {
		foreign := ".compiled.new-" + strings.Repeat("H", 26)
		writeText(t, filepath.Join(parent, foreign, "iptables.restore"), "foreign")
		if err := os.Chown(filepath.Join(parent, foreign), 12345, 12345); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, foreign)
	}
	write(t, compiled(t, map[string]string{"iptables.restore": "b\n"}), dir)
	slices.Sort(kept)
	requireEntries(t, parent, kept...)
	if text, err := os.ReadFile(filepath.Join(elsewhere, "iptables.restore")); err != nil || string(text) != "foreign" {
		t.Errorf("the target folder of a link: %q, %v", text, err)
	}
	// After that process has ended, its folder is a leftover.
	held.Close()
	write(t, compiled(t, map[string]string{"iptables.restore": "b\n"}), dir)
	if _, err := os.Lstat(filepath.Join(parent, running)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the leftover of an ended run: %v", err)
	}
}

func TestReplaceFileRemovesLeftovers(t *testing.T) {
	parent := t.TempDir()
	path := filepath.Join(parent, "policy.hcl")
	writeText(t, path, "old")
	writeText(t, filepath.Join(parent, ".policy.hcl.new-"+letters), "partial")
	writeText(t, filepath.Join(parent, ".policy.hcl.new-1"), "foreign")
	if err := ReplaceFile(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	requireEntries(t, parent, ".policy.hcl.new-1", "policy.hcl")
}

func TestACancelledWriteChangesNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "compiled")
	write(t, compiled(t, map[string]string{"iptables.restore": "a\n"}), dir)
	before := onDisk(t, dir)
	ctx, cancel := context.WithCancelCause(context.Background())
	why := errors.New("cancelled by the test")
	cancel(why)
	if _, err := compiled(t, map[string]string{"iptables.restore": "b\n"}).WriteContext(ctx, dir); !errors.Is(err, why) {
		t.Errorf("the error is %v", err)
	}
	if got := onDisk(t, dir); got["iptables.restore"] != before["iptables.restore"] {
		t.Errorf("the file in the folder is %q", got)
	}
	requireEntries(t, parent, "compiled")
}

// Opening a pipe would block until another process opens it for writing.
func TestPipesInTheFolderAreErrors(t *testing.T) {
	f := compiled(t, map[string]string{"iptables.restore": "a\n"})
	for _, name := range []string{"iptables.restore", ManifestFile} {
		dir := filepath.Join(t.TempDir(), "compiled")
		write(t, f, dir)
		path := filepath.Join(dir, name)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 2)
		go func() {
			_, err := f.Write(dir)
			done <- err
			_, err = f.Compare(dir)
			done <- err
		}()
		for range 2 {
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), "is a pipe") {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s: Write or Compare blocks on the pipe", name)
			}
		}
	}
}

func TestRootKeepsOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.SkipOrFail(t, "root is required to change owners")
	}
	dir := filepath.Join(t.TempDir(), "compiled")
	write(t, compiled(t, map[string]string{"web1/iptables.restore": "a\n"}), dir)
	for _, path := range []string{"", "web1", "web1/iptables.restore", "web1/manifest.json"} {
		if err := os.Chown(filepath.Join(dir, path), 12345, 12346); err != nil {
			t.Fatal(err)
		}
	}
	write(t, compiled(t, map[string]string{"web1/iptables.restore": "b\n", "web2/iptables.restore": "c\n"}), dir)
	for _, path := range []string{"", "web1", "web1/iptables.restore", "web2", "web2/iptables.restore"} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if uid, gid, _ := owner(info); uid != 12345 || gid != 12346 {
			t.Errorf("%q belongs to %d:%d", path, uid, gid)
		}
	}
}
