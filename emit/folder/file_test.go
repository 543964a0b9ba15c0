package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// large returns a file that prints text in small pieces, and the number of times that it did.
func large(t *testing.T, text string) (_ File, printed *int) {
	t.Helper()
	printed = new(int)
	l, err := NewLarge(func(w io.Writer) error {
		*printed++
		for line := range strings.Lines(text) {
			for _, half := range []string{line[:len(line)/2], line[len(line)/2:]} {
				if _, err := io.WriteString(w, half); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return File{Name: SetsFile, Large: l}, printed
}

func TestALargeFileHasTheDigestsOfItsText(t *testing.T) {
	const text = "# for host web1\ncreate a hash:net\nadd a 10.0.0.1\n"
	f, _ := large(t, text)
	if want := Digest([]byte(text)); f.Digest() != want {
		t.Errorf("the digest is %s, not %s", f.Digest(), want)
	}
	other, _ := large(t, strings.Replace(text, "web1", "web22", 1))
	if f.Large.BodyDigest() != other.Large.BodyDigest() || f.Digest() == other.Digest() {
		t.Error("the digests do not separate the first line from the rest")
	}
	if third, _ := large(t, text+"add a 10.0.0.2\n"); f.Large.BodyDigest() == third.Large.BodyDigest() {
		t.Error("two texts have one digest")
	}
	var b bytes.Buffer
	if err := f.Large.Print(&b); err != nil || b.String() != text {
		t.Errorf("%v, %q", err, b.String())
	}
}

func TestContentIsComparedToItsEnd(t *testing.T) {
	for _, content := range []string{"", "a\n", strings.Repeat("line\n", 40_000)} {
		inMemory := File{Content: []byte(content)}
		printed, _ := large(t, content)
		for _, f := range []File{inMemory, printed} {
			for _, have := range []string{content, content + "a", strings.TrimSuffix(content, "\n"), "b" + content} {
				same, err := f.is(strings.NewReader(have))
				if err != nil || same != (have == content) {
					t.Errorf("%d bytes are %d bytes: %t, %v", len(have), len(content), same, err)
				}
			}
			broken := errors.New("broken disk")
			if _, err := f.is(io.MultiReader(strings.NewReader(content), failing{broken})); !errors.Is(err, broken) {
				t.Errorf("an error of the disk is lost: %v", err)
			}
		}
	}
}

// failing fails to read and to write.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestALargeFileIsWrittenAndKept(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "compiled")
	text := "# header\n" + strings.Repeat("add a 10.0.0.1\n", 10_000)
	rules := "rules\n"
	for _, step := range []struct {
		text, rules string
		changes     []Change
		kept        bool
	}{
		{text, rules, []Change{{SetsFile, "missing"}, {ManifestFile, "missing"}, {RulesFile4, "missing"}}, false},
		{text, rules, nil, true},
		{text, "other\n", []Change{{RulesFile4, "changed"}, {ManifestFile, "changed"}}, true},
		{text + "add a 10.0.0.2\n", "other\n", []Change{{SetsFile, "changed"}, {ManifestFile, "changed"}}, false},
	} {
		before, _ := os.Stat(filepath.Join(dir, SetsFile))
		files := compiled(t, map[string]string{SetsFile: step.text, RulesFile4: step.rules})
		w := newWriter(t, dir)
		for path, content := range files {
			f := File{Name: path, Content: content}
			if path == SetsFile {
				f, _ = large(t, step.text)
			}
			if err := w.AddFile(path, f); err != nil {
				t.Fatal(err)
			}
		}
		changes, err := w.Commit()
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sorted(step.changes, nil), changes); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(texts(files), onDisk(t, dir)); diff != "" {
			t.Errorf("(-want +got):\n%.2000s", diff)
		}
		after, err := os.Stat(filepath.Join(dir, SetsFile))
		if err != nil || step.kept != (before != nil && os.SameFile(before, after)) {
			t.Errorf("kept should be %t: %v", step.kept, err)
		}
		requireEntries(t, parent, "compiled")
	}
}

// What was proved must be what is written.
func TestALargeFileThatChangesBetweenTwoPrintsIsNotWritten(t *testing.T) {
	for name, second := range map[string]func(w io.Writer) error{
		"another line": func(w io.Writer) error { _, err := io.WriteString(w, "# a\nadd a 10.0.0.2\n"); return err },
		"a line less":  func(w io.Writer) error { _, err := io.WriteString(w, "# a\n"); return err },
		"a line more": func(w io.Writer) error {
			_, err := io.WriteString(w, "# a\nadd a 10.0.0.1\nadd a 10.0.0.2\n")
			return err
		},
		"another order": func(w io.Writer) error { _, err := io.WriteString(w, "add a 10.0.0.1\n# a\n"); return err },
		"an error":      func(io.Writer) error { return fmt.Errorf("no memory") },
	} {
		parent := t.TempDir()
		dir := filepath.Join(parent, "compiled")
		times := 0
		l, err := NewLarge(func(w io.Writer) error {
			if times++; times > 1 {
				return second(w)
			}
			_, err := io.WriteString(w, "# a\nadd a 10.0.0.1\n")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w := newWriter(t, dir)
		if err := w.AddFile(SetsFile, File{Name: SetsFile, Large: l}); err == nil {
			t.Errorf("%s: the file was written", name)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		requireEntries(t, parent)
	}
}

func TestAFailedWriteOfALargeFileIsReported(t *testing.T) {
	f, _ := large(t, strings.Repeat("add a 10.0.0.1\n", 10))
	full := errors.New("the disk is full")
	if err := f.write(failing{full}); !errors.Is(err, full) {
		t.Errorf("the error is %v", err)
	}
}
