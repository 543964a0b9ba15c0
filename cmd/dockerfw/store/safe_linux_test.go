package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dockerfw/dockerfw/emit/folder"
	"github.com/dockerfw/dockerfw/golden/lab/testenv"
)

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	chmod(t, path, mode)
}

// otherUser is a user that owns nothing here; giving files to it needs root.
const otherUser = 54321

func give(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		testenv.SkipOrFail(t, "root is required to give a file to another user")
	}
	if err := os.Lchown(path, otherUser, -1); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesDirectoriesThatOthersCanChange(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(t *testing.T, dir string) // what is done to dir/parent/run
		want string                         // DIR is dir; "" for success
	}{
		{"nothing exists", func(*testing.T, string) {}, ""},
		{"private", func(t *testing.T, dir string) { mkdir(t, dir+"/parent/run", 0o700) }, ""},
		{"others can read", func(t *testing.T, dir string) { mkdir(t, dir+"/parent/run", 0o755) }, ""},
		{"the group can write", func(t *testing.T, dir string) { mkdir(t, dir+"/parent/run", 0o770) }, "DIR/parent/run can be written by others than its owner (mode 0770). Run: chown OWNER: DIR/parent/run && chmod 0700 DIR/parent/run"},
		{"all can write", func(t *testing.T, dir string) { mkdir(t, dir+"/parent/run", 0o707) }, "DIR/parent/run can be written by others than its owner (mode 0707). Run: chown OWNER: DIR/parent/run && chmod 0700 DIR/parent/run"},
		{"all can create files", func(t *testing.T, dir string) { mkdir(t, dir+"/parent/run", 0o777|fs.ModeSticky) }, "DIR/parent/run can be written by others than its owner (mode 0777). Run: chown OWNER: DIR/parent/run && chmod 0700 DIR/parent/run"},
		{"another owner", func(t *testing.T, dir string) {
			mkdir(t, dir+"/parent/run", 0o700)
			give(t, dir+"/parent/run")
		}, "DIR/parent/run belongs to user 54321, not to OWNER. Run: chown OWNER: DIR/parent/run && chmod 0700 DIR/parent/run"},
		{"a symbolic link", func(t *testing.T, dir string) {
			mkdir(t, dir+"/parent", 0o700)
			mkdir(t, dir+"/real", 0o700)
			symlink(t, dir+"/real", dir+"/parent/run")
		}, "DIR/parent/run is a symbolic link, not a directory. Run: rm DIR/parent/run"},
		{"a link to nothing", func(t *testing.T, dir string) {
			mkdir(t, dir+"/parent", 0o700)
			symlink(t, dir+"/real", dir+"/parent/run")
		}, "DIR/parent/run is a symbolic link, not a directory. Run: rm DIR/parent/run"},
		{"a file", func(t *testing.T, dir string) { writeFolder(t, dir+"/parent", map[string][]byte{"run": nil}) }, "DIR/parent/run is not a directory"},
		{"a file ahead", func(t *testing.T, dir string) { writeFolder(t, dir, map[string][]byte{"parent": nil}) }, "cannot write to DIR/parent/run: not a directory"},
		{"a parent that all can write", func(t *testing.T, dir string) { mkdir(t, dir+"/parent", 0o777) }, "DIR/parent can be written by others than its owner (mode 0777). Run: chown -h OWNER: DIR/parent && chmod go-w DIR/parent"},
		{"a parent where all can create files", func(t *testing.T, dir string) { mkdir(t, dir+"/parent", 0o777|fs.ModeSticky) }, ""},
		{"a parent of another owner", func(t *testing.T, dir string) {
			mkdir(t, dir+"/parent", 0o755)
			give(t, dir+"/parent")
		}, "DIR/parent belongs to user 54321, not to OWNER. Run: chown -h OWNER: DIR/parent && chmod go-w DIR/parent"},
		{"a parent that is a link", func(t *testing.T, dir string) {
			mkdir(t, dir+"/real", 0o755)
			symlink(t, "real", dir+"/parent")
		}, ""},
		{"a parent that is a link into a directory that all can write", func(t *testing.T, dir string) {
			mkdir(t, dir+"/real/parent", 0o755)
			chmod(t, dir+"/real", 0o777)
			symlink(t, "real/parent/", dir+"/parent")
		}, "DIR/real can be written by others than its owner (mode 0777). Run: chown -h OWNER: DIR/real && chmod go-w DIR/real"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := privateDir(t)
			c.set(t, dir)
			want := strings.NewReplacer("DIR", dir, "OWNER", userName(os.Geteuid())).Replace(c.want)
			for _, dirs := range [][2]string{{dir + "/parent/run", dir + "/state"}, {dir + "/state", dir + "/parent/run"}} {
				s, err := OpenAt(dirs[0], dirs[1], os.Geteuid())
				if (err == nil) != (want == "") || err != nil && err.Error() != want {
					t.Errorf("%v\nwant %s", err, want)
				}
				if err != nil {
					continue
				}
				if _, err := s.Lock(0, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestOpenUsesTheDirectoriesOfTheEnvironment(t *testing.T) {
	if os.Geteuid() != 0 {
		if _, err := Open(); err == nil || err.Error() != "root is required" {
			t.Errorf("without root: %v", err)
		}
		testenv.SkipOrFail(t, "root is required to open the store of a host")
	}
	dir := privateDir(t)
	t.Setenv(RunVariable, dir+"/a/b")
	t.Setenv(StateVariable, dir+"/state/")
	s, err := Open()
	if err != nil || s.Run != dir+"/a/b" || s.State != dir+"/state" {
		t.Fatalf("%+v, %v", s, err)
	}
	requireMode(t, s.Run, 0o700)
	requireMode(t, s.State, 0o700)
	t.Setenv(RunVariable, "run")
	if _, err := Open(); err == nil || err.Error() != "DOCKERFW_RUN=run: write an absolute path" {
		t.Errorf("a relative path: %v", err)
	}
}

func requireMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != want {
		t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
	}
}

func TestReadFolder(t *testing.T) {
	const fix = ". Run: chown -R OWNER: DIR/p/web && chmod -R go-w DIR/p/web"
	const advice = ", so DIR/p/web could be exchanged. Run: mkdir -p /etc/dockerfw.d && cp -rT DIR/p/web /etc/dockerfw.d/web, and load /etc/dockerfw.d/web"
	for _, c := range []struct {
		name string
		set  func(t *testing.T, web string) // web is DIR/p/web, a compiled folder
		want string                         // "" for success
	}{
		{"as compiled", func(*testing.T, string) {}, ""},
		{"files that others can read, and others that no manifest lists", func(t *testing.T, web string) {
			chmod(t, web, 0o755)
			mkdir(t, web+"/sub", 0o777)
			symlink(t, "/etc/passwd", web+"/link")
		}, ""},
		{"in a directory where all can create files", func(t *testing.T, web string) { chmod(t, filepath.Dir(web), 0o777|fs.ModeSticky) }, ""},

		{"a folder that all can write", func(t *testing.T, web string) { chmod(t, web, 0o777) }, "DIR/p/web can be written by others than its owner (mode 0777)" + fix},
		{"a folder where all can create files", func(t *testing.T, web string) { chmod(t, web, 0o777|fs.ModeSticky) }, "DIR/p/web can be written by others than its owner (mode 0777)" + fix},
		{"a folder that the group can write", func(t *testing.T, web string) { chmod(t, web, 0o775) }, "DIR/p/web can be written by others than its owner (mode 0775)" + fix},
		{"a folder of another owner", func(t *testing.T, web string) { give(t, web) }, "DIR/p/web belongs to user 54321, not to OWNER" + fix},
		{"a file that the group can write", func(t *testing.T, web string) { chmod(t, web+"/iptables.restore", 0o664) }, "DIR/p/web/iptables.restore can be written by others than its owner (mode 0664)" + fix},
		{"a file of another owner", func(t *testing.T, web string) { give(t, web+"/iptables.restore") }, "DIR/p/web/iptables.restore belongs to user 54321, not to OWNER" + fix},
		{"a manifest that all can write", func(t *testing.T, web string) { chmod(t, web+"/manifest.json", 0o646) }, "DIR/p/web/manifest.json can be written by others than its owner (mode 0646)" + fix},
		{"a parent that all can write", func(t *testing.T, web string) { chmod(t, filepath.Dir(web), 0o777) }, "DIR/p can be written by others than its owner (mode 0777)" + advice},
		{"a parent of another owner", func(t *testing.T, web string) { give(t, filepath.Dir(web)) }, "DIR/p belongs to user 54321, not to OWNER" + advice},

		{"a link instead of a file", func(t *testing.T, web string) {
			rename(t, web+"/iptables.restore", web+"/real")
			symlink(t, "real", web+"/iptables.restore")
		}, "DIR/p/web/iptables.restore is a symbolic link, not a regular file"},
		{"a folder instead of a file", func(t *testing.T, web string) {
			rename(t, web+"/iptables.restore", web+"/real")
			mkdir(t, web+"/iptables.restore", 0o755)
		}, "DIR/p/web/iptables.restore is a directory, not a regular file"},
		{"changed", func(t *testing.T, web string) {
			write(t, web+"/iptables.restore", "*filter\n")
			rename(t, web+"/ipset.restore", web+"/real")
		}, "DIR/p/web was changed after it was compiled: ipset.restore (missing), iptables.restore. Compile the policy again, or copy the folder again"},
		{"no manifest", func(t *testing.T, web string) { rename(t, web+"/manifest.json", web+"/real") }, "DIR/p/web has no manifest.json: it is not a compiled folder"},
		{"another manifest", func(t *testing.T, web string) { write(t, web+"/manifest.json", `{"name": "web app"}`) }, "DIR/p/web: manifest.json: format 0 is not supported; this version of dockerfw reads formats 1 to 2"},
		{"an empty manifest", func(t *testing.T, web string) { write(t, web+"/manifest.json", `{"format": 1}`) }, "DIR/p/web/manifest.json lists no files"},
		{"a file elsewhere", func(t *testing.T, web string) {
			write(t, web+"/manifest.json", `{"format": 1, "files": [{"name": "../web2/ipset.restore"}]}`)
		}, `DIR/p/web/manifest.json lists a file "../web2/ipset.restore", which no compile writes`},
		{"the parent", func(t *testing.T, web string) {
			write(t, web+"/manifest.json", `{"format": 1, "files": [{"name": ".."}]}`)
		}, `DIR/p/web/manifest.json lists a file "..", which no compile writes`},
		{"no name", func(t *testing.T, web string) {
			write(t, web+"/manifest.json", `{"format": 1, "files": [{"name": ""}]}`)
		}, `DIR/p/web/manifest.json lists a file "", which no compile writes`},
		{"the manifest itself", func(t *testing.T, web string) {
			write(t, web+"/manifest.json", `{"format": 1, "files": [{"name": "manifest.json"}]}`)
		}, `DIR/p/web/manifest.json lists a file "manifest.json", which no compile writes`},
		{"a fleet", func(t *testing.T, web string) {
			rename(t, web+"/manifest.json", web+"/real")
			for i := range 12 {
				writeFolder(t, fmt.Sprintf("%s/host%02d", web, i), compiled(t, "a"))
			}
		}, "DIR/p/web has a folder for each host; load the one of this host: DIR/p/web/host00, DIR/p/web/host01, DIR/p/web/host02, DIR/p/web/host03, DIR/p/web/host04, DIR/p/web/host05, DIR/p/web/host06, DIR/p/web/host07, DIR/p/web/host08, DIR/p/web/host09 and 2 more"},
		{"a file", func(t *testing.T, web string) {
			rename(t, web, web+"2")
			write(t, web, "")
		}, "DIR/p/web is not a folder. A policy is compiled to one first: dockerfw compile POLICY -o FOLDER"},
		{"nothing", func(t *testing.T, web string) { rename(t, web, web+"2") }, "DIR/p/web: no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := privateDir(t)
			web := dir + "/p/web"
			writeFolder(t, web, compiled(t, "a"))
			chmod(t, dir+"/p", 0o755)
			c.set(t, web)
			want := strings.NewReplacer("DIR", dir, "OWNER", userName(os.Geteuid())).Replace(c.want)
			contents, resolved, err := ReadFolder(web, os.Geteuid())
			if (err == nil) != (want == "") || err != nil && err.Error() != want {
				t.Errorf("%v\nwant %s", err, want)
			}
			if want != "" {
				if contents != nil || resolved != "" {
					t.Errorf("with the error: %v, %s", contents, resolved)
				}
				return
			}
			if diff := cmp.Diff(compiled(t, "a"), contents); diff != "" || resolved != web {
				t.Errorf("%s\n%s", resolved, diff)
			}
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	chmod(t, path, 0o644)
}

func TestReadFolderResolvesLinksThatOthersCannotChange(t *testing.T) {
	dir := privateDir(t)
	writeFolder(t, dir+"/real/web", compiled(t, "a"))
	mkdir(t, dir+"/open", 0o777)
	mkdir(t, dir+"/sticky", 0o777|fs.ModeSticky)
	symlink(t, dir+"/real/web", dir+"/absolute")
	symlink(t, "real/../real/web/", dir+"/relative")
	symlink(t, "absolute", dir+"/twice")
	symlink(t, dir+"/real/web", dir+"/open/link")
	symlink(t, dir+"/real/web", dir+"/sticky/link")
	symlink(t, dir+"/open/link", dir+"/through")
	symlink(t, "loop", dir+"/loop")
	for path, want := range map[string]string{
		"absolute": "", "relative": "", "twice": "", "twice/": "", "sticky/link": "",
		"open/link": "/open can be written by others than its owner (mode 0777), so ",
		"through":   "/open can be written by others than its owner (mode 0777), so ",
		"loop":      "too many symbolic links",
	} {
		_, resolved, err := ReadFolder(dir+"/"+path, os.Geteuid())
		if want == "" && (err != nil || resolved != dir+"/real/web") {
			t.Errorf("%s: %s, %v", path, resolved, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	t.Chdir(dir)
	if _, resolved, err := ReadFolder("twice", os.Geteuid()); err != nil || resolved != dir+"/real/web" {
		t.Errorf("a relative path: %s, %v", resolved, err)
	}
	give(t, dir+"/sticky/link")
	_, _, err := ReadFolder(dir+"/sticky/link", os.Geteuid())
	var u *UnsafeError
	if !errors.As(err, &u) || u.Path != dir+"/sticky/link" || !strings.HasPrefix(u.Why, "belongs to user 54321") {
		t.Errorf("the link of another user: %v", err)
	}
}

func TestReadFolderIsBounded(t *testing.T) {
	dir := privateDir(t)
	writeFolder(t, dir, compiled(t, "a"))
	budget := int64(10)
	if _, err := readFile(dir, folder.RulesFile4, os.Geteuid(), &budget); err == nil || !strings.Contains(err.Error(), "has more than") {
		t.Errorf("%v", err)
	}
	size := int64(len(compiled(t, "a")[folder.RulesFile4]))
	if text, err := readFile(dir, folder.RulesFile4, os.Geteuid(), &size); err != nil || size != 0 || len(text) == 0 {
		t.Errorf("%v, %d left", err, size)
	}
}

func TestADamagedFolderStillShowsItsIntactFiles(t *testing.T) {
	web := privateDir(t) + "/web"
	writeFolder(t, web, compiled(t, "a"))
	write(t, web+"/ipset.restore", "")
	_, _, err := ReadFolder(web, os.Geteuid())
	var damaged *DamagedError
	if !errors.As(err, &damaged) {
		t.Fatalf("%v", err)
	}
	want := compiled(t, "a")
	delete(want, "ipset.restore")
	if diff := cmp.Diff(want, damaged.Intact); diff != "" || len(want) < 2 {
		t.Errorf("intact (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ipset.restore"}, damaged.Names); diff != "" {
		t.Errorf("damaged (-want +got):\n%s", diff)
	}
}
