package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dockerfw/dockerfw/emit/folder"
)

// privateDir returns a temporary directory that nobody else can write, whatever the umask is.
func privateDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// open returns a store in a directory, which may contain one already.
func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := OpenAt(filepath.Join(dir, "run"), filepath.Join(dir, "state"), os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lock returns the locked store in a directory. It is unlocked when the test ends.
func lock(t testing.TB, dir string) *Lock {
	t.Helper()
	s := open(t, dir)
	s.disk.fast = true
	l, err := s.Lock(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Unlock() })
	return l
}

// compiled returns a compiled folder that contains the text.
func compiled(t testing.TB, text string) map[string][]byte {
	t.Helper()
	contents := map[string][]byte{
		folder.SetsFile:   []byte("create " + text + " hash:net\n"),
		folder.RulesFile4: []byte("*filter\nCOMMIT\n"),
	}
	m := folder.Manifest{Format: folder.ManifestFormat, Version: "1.0.0", Inputs: []folder.Input{{Name: "policy.hcl"}}}
	for _, name := range sortedNames(contents) {
		m.Files = append(m.Files, folder.Input{Name: name, SHA256: folder.Digest(contents[name])})
	}
	file, err := m.File()
	if err != nil {
		t.Fatal(err)
	}
	contents[file.Name] = file.Content
	return contents
}

// writeFolder writes files below a directory, with the modes of a usual umask.
func writeFolder(t testing.TB, dir string, contents map[string][]byte) {
	t.Helper()
	for name, content := range contents {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func pendingChange(t testing.TB, text string) Pending {
	files := compiled(t, text)
	return Pending{
		Change: Change{
			Folder: "/etc/dockerfw.d/" + text, Digest: folder.Digest(files[folder.ManifestFile]), Backend: "nft", Token: "TOKEN" + text,
			Deadline: time.Date(2026, 11, 26, 18, 0, 0, 123, time.UTC),
		},
		Old: []byte("old " + text), New: []byte("new " + text), Files: files,
	}
}

// observed returns everything that a store remembers, by its parts, as text.
func observed(t testing.TB, s *Store) map[string]string {
	t.Helper()
	out := map[string]string{}
	put := func(part string, v any, err error) {
		t.Helper()
		text, marshalErr := json.Marshal(v)
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		out[part] = string(text)
		if err != nil {
			t.Errorf("%s: %v", part, err)
		}
	}
	for _, list := range []List{Made, Unmanaged, UnmanagedNext} {
		v, err := s.Names(list)
		put(string(list), v, err)
	}
	backend, err := s.Backend()
	put("backend", backend, err)
	unconfirmed, err := s.Unconfirmed()
	put("unconfirmed", unconfirmed, err)
	inForce, err := s.InForce()
	put("in force", inForce, err)
	files, _, _, err := s.Good()
	put("good", files, err)
	p, err := s.Pending()
	if p != nil {
		put("partial", p.Partial, nil)
	}
	put("pending", p, err)
	snapshot, err := read(s.snapshot())
	put("snapshot", snapshot, err)
	return out
}
