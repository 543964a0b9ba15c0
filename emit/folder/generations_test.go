package folder

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// generation returns contents whose files contain the number n, except one file that is the
// same in all generations.
func generation(t testing.TB, n int) Contents {
	files := map[string]string{"same": "same\n"}
	for i := range 8 {
		files[fmt.Sprintf("web%d/file%d", i%2, i)] = fmt.Sprintf("generation %d\n", n) + strings.Repeat("x", 5000*n%7000)
	}
	return compiled(t, files)
}

// observedGeneration returns the generation of the folder, read through one open directory,
// and an error if the files are of several. It returns -1 if the folder was replaced and
// removed while it was read.
func observedGeneration(dir string, generations []Contents) (int, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, err
	}
	defer root.Close()
	found := -1
	for path := range generations[0] {
		text, err := root.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			now, err := os.Stat(dir)
			if err != nil {
				return 0, err
			}
			opened, err := root.Stat(".")
			if err == nil && os.SameFile(now, opened) {
				return 0, fmt.Errorf("%s is missing from the current folder", path)
			}
			return -1, nil
		}
		if err != nil {
			return 0, err
		}
		if path == "same" {
			continue
		}
		n := slices.IndexFunc(generations, func(f Contents) bool { return bytes.Equal(f[path], text) })
		switch {
		case n < 0:
			return 0, fmt.Errorf("%s belongs to no generation: %.40q", path, text)
		case found >= 0 && n != found && filepath.Base(path) != ManifestFile:
			return 0, fmt.Errorf("a mixture: %s is of generation %d, other files of %d", path, n, found)
		case filepath.Base(path) != ManifestFile:
			found = n
		}
	}
	return found, nil
}

func TestReadersSeeOneGenerationDuringConcurrentWrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "compiled")
	var generations []Contents
	for n := range 4 {
		generations = append(generations, generation(t, n))
	}
	write(t, generations[0], dir)
	deadline := time.Now().Add(700 * time.Millisecond)
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for n := range 3 {
		writers.Go(func() {
			for i := n; time.Now().Before(deadline); i++ {
				// Another writer may remove a host's folder or replace a file during the
				// comparison: that is an error, not a mixture.
				_, err := generations[i%len(generations)].Write(dir)
				if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errChangedMeanwhile) {
					t.Errorf("writer: %v", err)
				}
			}
		})
	}
	seen := make([]int, 2)
	for n := range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				g, err := observedGeneration(dir, generations)
				if err != nil {
					t.Errorf("reader: %v", err)
					return
				}
				if g >= 0 {
					seen[n]++
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if seen[0] == 0 || seen[1] == 0 {
		t.Errorf("the readers saw a complete folder %v times", seen)
	}
	if _, err := observedGeneration(dir, generations); err != nil {
		t.Error(err)
	}
	requireEntries(t, filepath.Dir(dir), "compiled")
}

// childDir is the environment variable that makes a test run as its own child process.
const childDir = "DOCKERFW_TEST_DIR"

// childCommand returns the command that runs one test of this binary in a child process.
func childCommand(t *testing.T, test string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^"+test+"$", "-test.v")
	child.Env = append(os.Environ(), env...)
	return child
}

// startChild starts a child process and waits for its line "ready".
func startChild(t *testing.T, test string, env ...string) *exec.Cmd {
	t.Helper()
	child := childCommand(t, test, env...)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			return child
		}
	}
	t.Fatalf("the child ended: %v", child.Wait())
	return nil
}

func TestAKilledWriterLeavesOneGeneration(t *testing.T) {
	generations := []Contents{generation(t, 0), generation(t, 1)}
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Println("ready")
		for i := 0; ; i++ {
			if _, err := generations[i%2].Write(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := filepath.Join(t.TempDir(), "compiled")
	write(t, generations[0], dir)
	seen := map[int]int{}
	random := rand.New(rand.NewPCG(1, 25))
	for range 25 {
		child := startChild(t, "TestAKilledWriterLeavesOneGeneration", childDir+"="+dir)
		time.Sleep(time.Duration(random.IntN(8000)) * time.Microsecond)
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // it was killed
		n, err := observedGeneration(dir, generations)
		if err != nil {
			t.Fatal(err)
		}
		seen[n]++
	}
	if _, gone := seen[-1]; gone {
		t.Errorf("the folder was missing after a kill: %v", seen)
	}
	// A later run removes what the killed ones left.
	write(t, generations[1], dir)
	requireEntries(t, filepath.Dir(dir), "compiled")
}
