package store

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// requireHeld checks that nobody can get the lock of the store in dir.
func requireHeld(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir)
	l, err := s.Lock(0, nil)
	var held *HeldError
	if !errors.As(err, &held) || held.Path != filepath.Join(s.Run, "lock") {
		t.Errorf("a lock that is held: %v, %v", l, err)
	}
}

func TestOneLockAtATime(t *testing.T) {
	dir := privateDir(t)
	var holders, most atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		s := open(t, dir)
		all.Go(func() {
			l, err := s.Lock(-1, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if n := holders.Add(1); n > 1 {
				most.Store(n)
			}
			time.Sleep(time.Millisecond)
			holders.Add(-1)
			if err := l.Unlock(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() > 1 {
		t.Errorf("%d had the lock at the same time", most.Load())
	}
}

func TestTheErrorOfALockThatIsHeld(t *testing.T) {
	for waited, want := range map[time.Duration]string{
		0:               "another dockerfw has the lock /run/dockerfw/lock",
		time.Minute:     "another dockerfw has held the lock /run/dockerfw/lock for a minute",
		5 * time.Second: "another dockerfw has held the lock /run/dockerfw/lock for 5s",
	} {
		if got := (&HeldError{"/run/dockerfw/lock", waited}).Error(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	dir := privateDir(t)
	lock(t, dir)
	requireHeld(t, dir)
	begin := time.Now()
	_, err := open(t, dir).Lock(250*time.Millisecond, nil)
	if err == nil || !strings.HasSuffix(err.Error(), "for 250ms") || time.Since(begin) < 250*time.Millisecond {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}

func TestALockThatTakesLongIsAnnouncedOnce(t *testing.T) {
	dir := privateDir(t)
	lock(t, dir)
	for wait, want := range map[time.Duration]int{noticeable / 2: 0, noticeable + 5*lockInterval: 1} {
		got := 0
		if l, err := open(t, dir).Lock(wait, func() { got++ }); err == nil {
			t.Fatal(l)
		}
		if got != want {
			t.Errorf("%d announcements in %s, want %d", got, wait, want)
		}
	}
}

// childDir is the variable that makes a test run as its own child process.
const childDir = "DOCKERFW_TEST_DIR"

// childCommand returns the command that runs the test t again in a child process.
func childCommand(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), childDir+"="+dir)
	return child
}

func TestALockEndsWithItsProcess(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		l := lock(t, dir)
		if err := os.WriteFile(l.snapshot()+part, nil, fileMode); err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready")
		time.Sleep(time.Minute)
		return
	}
	dir := privateDir(t)
	child := childCommand(t, dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
	}
	requireHeld(t, dir)
	s := open(t, dir)
	if _, err := os.Stat(s.snapshot() + part); err != nil {
		t.Errorf("an attempt to lock removed what the other process writes: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	lock(t, dir)
	requireComplete(t, "after the kill", dir)
}

func TestProcessesDoNotInheritTheLock(t *testing.T) {
	dir := privateDir(t)
	l := lock(t, dir)
	sleeper := exec.Command("sleep", "60")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	}()
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	lock(t, dir)
}

func TestALockWhoseFileWasRemovedExcludesNobody(t *testing.T) {
	for _, remove := range []func(*Store) error{
		func(s *Store) error { return os.Remove(filepath.Join(s.Run, "lock")) },
		func(s *Store) error { return os.RemoveAll(s.Run) },
		func(s *Store) error { return os.Rename(s.Run, s.Run+".old") },
	} {
		dir := privateDir(t)
		l := lock(t, dir)
		if err := remove(l.Store); err != nil {
			t.Fatal(err)
		}
		lock(t, dir)
		requireHeld(t, dir)
		// A file that was opened before it was removed is not the lock.
		path := filepath.Join(l.Run, "lock")
		old, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if isAt(old, path) {
			t.Error("a removed file is at its path")
		}
		if err := os.WriteFile(path, nil, fileMode); err != nil {
			t.Fatal(err)
		}
		if isAt(old, path) {
			t.Error("a file that was replaced is at its path")
		}
	}
}

func TestTheLockIsThatOfApplySh(t *testing.T) {
	dir := privateDir(t)
	l := lock(t, dir)
	path := filepath.Join(l.Run, "lock")
	if err := exec.Command("flock", "-n", path, "true").Run(); err == nil {
		t.Error("flock(1) got a lock that is held")
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("flock", "-n", path, "true").CombinedOutput(); err != nil {
		t.Errorf("flock(1): %v: %s", err, out)
	}
}

func TestALinkIsNoLock(t *testing.T) {
	dir := privateDir(t)
	s := open(t, dir)
	symlink(t, dir+"/elsewhere", filepath.Join(s.Run, "lock"))
	if _, err := s.Lock(0, nil); err == nil {
		t.Error("a symbolic link was opened")
	}
	if _, err := os.Lstat(dir + "/elsewhere"); err == nil {
		t.Error("a file was created through the link")
	}
}
