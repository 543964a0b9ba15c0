package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestPutFileWritesANewFileAndReplacesAnOldOne(t *testing.T) {
	parent := t.TempDir()
	path := filepath.Join(parent, "metrics.prom")
	for _, want := range []string{"first", "second"} {
		if err := PutFile(path, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if text, _ := os.ReadFile(path); string(text) != want {
			t.Errorf("%q, want %q", text, want)
		}
		requireEntries(t, parent, "metrics.prom")
	}
	if err := PutFile(filepath.Join(parent, "none", "metrics.prom"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("writing into a missing directory: %v", err)
	}
}

func TestReplaceFileKeepsModeAndLink(t *testing.T) {
	parent := t.TempDir()
	path, alias := filepath.Join(parent, "policy.hcl"), filepath.Join(parent, "alias.hcl")
	writeText(t, path, "old")
	link(t, "policy.hcl", alias)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(alias, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "new" || info.Mode().Perm() != 0o640 {
		t.Errorf("%q, mode %v", text, info.Mode())
	}
	requireEntries(t, parent, "alias.hcl", "policy.hcl")
	if err := ReplaceFile(filepath.Join(parent, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("replacing a missing file: %v", err)
	}
}
